"""A variable may stand in a file: `NAME_FILE` names it."""

import pytest

from permission_mongo.cli.main import main
from permission_mongo.config.environment import FromFiles
from permission_mongo.config.load import load_config
from permission_mongo.errors import Misconfigured
from tests.config.test_load import POLICY, SCHEMA

SECRET = "of 32 bytes or more, and in a file"
CONFIG = "auth: {secret: '${ENV.S}'}\nserver: {host: '${ENV.HOST}'}"


def write(folder, secret):
    for name, text in (("config.yaml", CONFIG), ("schema.yml", SCHEMA), ("policy.yml", POLICY), ("secret", secret)):
        (folder / name).write_text(text)


def test_a_secret_and_an_address_are_read_from_files(tmp_path):
    write(tmp_path, SECRET + "\n")
    (tmp_path / "uri").write_bytes(b"mongodb://somewhere\r\n")
    environment = FromFiles({"S_FILE": f"{tmp_path}/secret", "MONGODB_URI_FILE": f"{tmp_path}/uri", "HOST": "::1"})
    config = load_config(tmp_path, environment)
    assert (config.auth.secret, config.mongodb.uri, config.server.host) == (SECRET, "mongodb://somewhere", "::1")
    assert environment.get("NOT_THERE") is None
    assert SECRET not in repr(environment)


@pytest.mark.parametrize(
    ("content", "more", "told"),
    [
        (None, {}, "No such file"),
        (b"\xff\xfe", {}, "not UTF-8"),
        (b"x" * 70_000, {}, "more than 65536 bytes"),
        (b"x", {"S": "beside it"}, "keep one of them"),
    ],
)
def test_a_file_that_can_not_be_read_is_a_mistake_that_tells_no_content(tmp_path, content, more, told):
    if content is not None:
        (tmp_path / "s").write_bytes(content)
    with pytest.raises(Misconfigured, match=told) as caught:
        FromFiles({"S_FILE": f"{tmp_path}/s", **more})["S"]
    assert str(caught.value).startswith("S_FILE: ")
    assert "beside it'" not in str(caught.value)


def test_the_command_line_reads_them(tmp_path, monkeypatch, capsys):
    write(tmp_path, "short")
    monkeypatch.setenv("S_FILE", str(tmp_path / "secret"))
    monkeypatch.setenv("HOST", "::1")
    assert main(["check", str(tmp_path)]) == 1
    assert "at least 32 bytes" in capsys.readouterr().out
    (tmp_path / "secret").unlink()
    assert main(["check", str(tmp_path)]) == 1
    assert "S_FILE: names" in capsys.readouterr().out
