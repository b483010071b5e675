"""What is installed from a wheel is the whole package, and works beside no source tree."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from permission_mongo import __version__

ROOT = Path(__file__).parents[2]
hatchling = pytest.importorskip("hatchling.build", reason="the build backend is not installed here")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("dist")
    before = Path.cwd()
    os.chdir(ROOT)
    try:
        return folder / hatchling.build_wheel(str(folder))
    finally:
        os.chdir(before)


def test_it_holds_every_file_of_the_package_and_nothing_beside_it(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    package = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "permission_mongo").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    about = {name for name in names if ".dist-info/" in name}
    assert names - about == package
    assert "permission_mongo/py.typed" in names
    assert f"permission_mongo-{__version__}.dist-info/licenses/LICENSE" in about


def test_it_runs_beside_no_source_tree(wheel, tmp_path):
    zipfile.ZipFile(wheel).extractall(tmp_path / "installed")
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / "installed")}

    def run(*arguments):
        command = [sys.executable, "-c", "import sys; from permission_mongo.cli.main import main; sys.exit(main())"]
        return subprocess.run(
            [*command, *arguments], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60
        )

    assert run("--version").stdout == f"permission-mongo {__version__}\n"
    checked = run("check", str(ROOT / "config"))
    assert (checked.returncode, checked.stderr) == (0, "")
    assert run("schema", "config").stdout == (ROOT / "docs/schemas/config.json").read_text()
