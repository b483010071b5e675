"""Configurations with the mistakes that people make: each is told exactly as one would hope, and nothing else is.

`expected.txt` is what `permission-mongo check` prints.
"""

from pathlib import Path

import pytest

from permission_mongo.cli.main import main

FOLDERS = sorted((Path(__file__).parent / "broken").iterdir())


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_a_broken_configuration_is_told_of_exactly(folder, monkeypatch, capsys):
    for name in ("MONGODB_URI", "MONGODB_DATABASE", "SERVER_HOST", "SERVER_PORT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AUTH_SECRET", "0123456789abcdef0123456789abcdef")
    assert main(["check", str(folder)]) == 1
    assert capsys.readouterr().out == (folder / "expected.txt").read_text()


def test_there_are_enough_of_them():
    assert len(FOLDERS) >= 12
