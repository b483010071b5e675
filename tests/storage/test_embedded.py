"""The embedded server: real servers, real kills. What was acknowledged stays, and nobody else gets in."""

import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import textwrap
import threading
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path

import pytest
from pymongo import MongoClient
from pymongo.errors import OperationFailure

import permission_mongo
from permission_mongo.errors import StartupFailure
from permission_mongo.storage.embedded import EmbeddedServer, _Ended, running_uri, settle, start_embedded
from permission_mongo.storage.mongod import (
    Folder,
    Lock,
    begin_again_unless_done,
    find_mongod,
    is_server_of,
    prepare,
    secure,
    spawn,
    why_it_stopped,
)

pytestmark = pytest.mark.mongo


@pytest.fixture(scope="module")
def mongod() -> Path:
    return find_mongod(None)


@contextmanager
def started(folder: Path, mongod: Path) -> Iterator[EmbeddedServer]:
    server = start_embedded(folder, mongod)
    try:
        yield server
    finally:
        crash(server)  # a clean end takes a second; the tests that are about it call stop() themselves
        server.stop()


def crash(server: EmbeddedServer) -> None:
    if server.is_running():
        os.kill(server.pid, signal.SIGKILL)
    deadline = time.monotonic() + 5
    while server.is_running() and time.monotonic() < deadline:
        time.sleep(0.01)


def write(server: EmbeddedServer, number: int) -> None:
    with MongoClient(server.uri, w="majority") as client:
        client.trial.rows.insert_one({"_id": number})


def rows(server: EmbeddedServer) -> list[int]:
    with MongoClient(server.uri) as client:
        return sorted(row["_id"] for row in client.trial.rows.find())


def port_of(folder: Path) -> int:
    return int(Folder(folder).port.read_text())


@contextmanager
def listener(port: int) -> Iterator[None]:
    """Another program on the port, which hangs up on what it does not understand."""
    with socket.create_server(("127.0.0.1", port)) as taken:

        def hang_up() -> None:
            with suppress(OSError):
                while True:
                    taken.accept()[0].close()

        thread = threading.Thread(target=hang_up)
        thread.start()
        try:
            yield
        finally:
            taken.shutdown(socket.SHUT_RDWR)
            thread.join()


def script(path: Path, body: str) -> Path:
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o700)
    return path


def child(code: str, *arguments: object) -> subprocess.Popen[str]:
    """A Python process of its own; `folder` and `mongod` are its first two arguments."""
    head = """
        import os, signal, sys, time
        from pathlib import Path
        from permission_mongo.storage.embedded import start_embedded
        folder, mongod = Path(sys.argv[1]), Path(sys.argv[2])
    """
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(head) + textwrap.dedent(code), *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        cwd=Path(permission_mongo.__file__).parent.parent,
    )


# -- starting, stopping, coming back


def test_a_fresh_server_takes_majority_writes_and_transactions(tmp_path, mongod):
    with started(tmp_path / "db", mongod) as server, MongoClient(server.uri, w="majority") as client:
        with client.start_session() as session, session.start_transaction():
            client.trial.rows.insert_one({"_id": 1}, session=session)
            client.trial.other.insert_one({"_id": 2}, session=session)
        assert client.trial.rows.count_documents({}) == client.trial.other.count_documents({}) == 1
        assert server.version.split(".")[0].isdigit()
        assert server.folder == tmp_path / "db"


def test_a_clean_restart_keeps_data_port_and_password(tmp_path, mongod):
    server = start_embedded(tmp_path / "db", mongod)
    write(server, 1)
    server.stop()
    server.stop()
    assert not server.is_running()
    assert server.revive() is False, "a stopped server stays stopped"
    with started(tmp_path / "db", mongod) as again:
        assert again.uri == server.uri
        assert rows(again) == [1]


def test_a_killed_server_starts_again_with_every_acknowledged_write(tmp_path, mongod):
    with started(tmp_path / "db", mongod) as server:
        for number in range(20):
            write(server, number)
    with started(tmp_path / "db", mongod) as again:
        assert rows(again) == list(range(20))


def test_revive_brings_a_killed_server_back_in_place(tmp_path, mongod):
    """The address stays, so that clients that are open find it again."""
    with started(tmp_path / "db", mongod) as server, MongoClient(server.uri, w="majority") as client:
        client.trial.rows.insert_one({"_id": 1})
        uri, killed = server.uri, server.pid
        crash(server)
        until = time.monotonic() + 30
        while not server.revive():  # says so where the machine is too busy for it to be there at once
            assert time.monotonic() < until
        assert (server.uri, server.pid != killed, server.is_running()) == (uri, True, True)
        assert [row["_id"] for row in client.trial.rows.find()] == [1]


def test_f13_a_server_that_keeps_crashing_is_tried_with_back_off_and_given_up(tmp_path, mongod):
    binary = script(tmp_path / "mongod", f'exec {mongod} "$@"')
    with started(tmp_path / "db", binary) as server:
        script(binary, "echo the disk is on fire >&2; exit 14")
        crash(server)
        began, tries = time.monotonic(), set()

        def look_after() -> None:
            while time.monotonic() - began < 20:
                assert server.revive() is False
                tries.add(server.pid)
                time.sleep(0.02)

        with pytest.raises(StartupFailure, match=r"(?s)5 crashes within a minute.*the disk is on fire"):
            look_after()
        assert len(tries) == 4, "restarts after the first crash"
        assert time.monotonic() - began > 4


def test_the_server_must_be_started_on_the_main_thread(tmp_path, mongod):
    """It would be killed when that thread ends."""
    refused = []

    def start() -> None:
        try:
            start_embedded(tmp_path / "db", mongod).stop()
        except RuntimeError as error:
            refused.append(error)

    thread = threading.Thread(target=start)
    thread.start()
    thread.join()
    assert len(refused) == 1


def test_the_server_does_not_get_the_terminals_interrupt(tmp_path, mongod):
    with started(tmp_path / "db", mongod) as server:
        assert os.getsid(server.pid) != os.getsid(0)


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no parent-death signal")
def test_no_server_outlives_a_killed_gateway(tmp_path, mongod):
    code = "print(start_embedded(folder, mongod).pid, flush=True); time.sleep(60)"
    with child(code, tmp_path / "db", mongod) as gateway:
        pid = int(gateway.stdout.readline())
        assert is_server_of(pid, Folder(tmp_path / "db"))
        gateway.kill()
        gateway.wait()
        deadline = time.monotonic() + 2
        while (left := is_server_of(pid, Folder(tmp_path / "db"))) and time.monotonic() < deadline:
            time.sleep(0.02)
    assert not left


def test_the_log_is_set_aside_when_it_is_large_while_the_server_writes_on(tmp_path, mongod):
    with started(tmp_path / "db", mongod) as server:
        log = Folder(tmp_path / "db").log
        with log.open("ab") as file:
            file.write(b"\n" * (17 * 2**20))
        server.trim_log()
        deadline = time.monotonic() + 5
        while not (log.exists() and log.stat().st_size) and time.monotonic() < deadline:
            time.sleep(0.02)
        assert 0 < log.stat().st_size < 2**20
        assert sorted(one.name for one in log.parent.glob("mongod.log*")) == ["mongod.log", "mongod.log.1"]
        write(server, 1)


# -- the port


def test_a_taken_port_leads_to_another_with_the_data_whole(tmp_path, mongod):
    with started(tmp_path / "db", mongod) as server:
        write(server, 1)
    old = port_of(tmp_path / "db")
    with listener(old), started(tmp_path / "db", mongod) as moved:
        assert port_of(tmp_path / "db") != old
        write(moved, 2)
        assert rows(moved) == [1, 2]
        with MongoClient(moved.uri) as client, client.start_session() as session, session.start_transaction():
            client.trial.rows.insert_one({"_id": 3}, session=session)


def test_a_server_that_got_the_port_first_is_not_spoken_to(tmp_path, mongod):
    """Between the look at the port and the spawn anyone may take it; no set and no user may be made there."""
    ours = prepare(tmp_path / "ours")
    secure(ours)
    begin_again_unless_done(ours)
    with started(tmp_path / "other", mongod) as other:
        late = spawn(mongod, ours, port_of(tmp_path / "other"))
        with pytest.raises(_Ended):
            settle(ours, late, port_of(tmp_path / "other"), time.monotonic() + 10)
        assert late.wait(5) == 48
        assert "port is taken" in why_it_stopped(48, ours.log)
        assert not ours.marker.exists()
        assert rows(other) == []


def test_a_copy_that_answers_with_our_password_is_not_taken_for_ours(tmp_path, mongod):
    """The pid tells: after the folder was copied, password and port are the same."""
    with started(tmp_path / "db", mongod):
        pass
    shutil.copytree(tmp_path / "db", tmp_path / "copy")
    ours = Folder(tmp_path / "db")
    gateway = Lock(ours.lock)
    with started(tmp_path / "copy", mongod) as copy, closing_lock(gateway):
        assert running_uri(tmp_path / "copy") == copy.uri
        assert gateway.take()
        assert running_uri(ours.path) is None
        with subprocess.Popen(["sleep", "30"]) as someone:
            try:
                with pytest.raises(StartupFailure, match="another MongoDB answers"):
                    settle(ours, someone, port_of(ours.path), time.monotonic() + 5)
            finally:
                someone.kill()


@contextmanager
def closing_lock(lock: Lock) -> Iterator[None]:
    try:
        yield
    finally:
        lock.release()


# -- one gateway a folder


def test_a_second_gateway_on_the_folder_is_refused_and_the_first_runs_on(tmp_path, mongod):
    with started(tmp_path / "db", mongod) as server:
        with pytest.raises(StartupFailure, match=r"another gateway uses .*: stop it first"):
            start_embedded(tmp_path / "db", mongod)
        write(server, 1)
        assert server.is_running()


def test_the_address_is_given_while_the_server_runs_and_not_after(tmp_path, mongod):
    assert running_uri(tmp_path / "db") is None
    server = start_embedded(tmp_path / "db", mongod)
    assert running_uri(tmp_path / "db") == server.uri
    crash(server)
    assert running_uri(tmp_path / "db") is None
    assert server.revive()
    assert running_uri(tmp_path / "db") == server.uri
    server.stop()
    assert running_uri(tmp_path / "db") is None
    assert not list((tmp_path / "db").glob("*.new"))


def test_a_server_without_its_gateway_is_not_given_out_and_is_ended_by_the_next(tmp_path, mongod):
    """Where no parent-death signal exists, a killed gateway leaves one behind."""
    left = start_embedded(tmp_path / "db", mongod)
    write(left, 1)
    left._lock.release()
    assert left.is_running()
    assert running_uri(tmp_path / "db") is None
    with started(tmp_path / "db", mongod) as server:
        assert not left.is_running()
        assert rows(server) == [1]


# -- cut off in the first start

POINTS = {
    "between key file and password": ("write_whole", 2),
    "before the spawn": ("spawn", 1),
    "after the spawn": ("is_listening", 1),
    "before replSetInitiate": ("initiate", 1),
    "after replSetInitiate": ("_is_primary", 1),
    "before the user": ("make_user", 1),
    "after the user, before the marker": ("write_whole", 4),
    "after the marker": ("require_own", 1),
}


@pytest.mark.parametrize("point", POINTS)
def test_a_first_start_killed_at_any_step_leaves_a_folder_that_starts(tmp_path, mongod, point):
    """Also on another port, where a set without a user could not be mended any more."""
    code = """
        name, left = sys.argv[3], int(sys.argv[4])

        def die_there(frame, event, _):
            global left
            if event == "call" and frame.f_code.co_name == name:
                left -= 1
                if not left:
                    os.kill(os.getpid(), signal.SIGKILL)

        sys.setprofile(die_there)
        start_embedded(folder, mongod)
    """
    with child(code, tmp_path / "db", mongod, *POINTS[point]) as first:
        assert first.wait(20) == -signal.SIGKILL
    remembered = Folder(tmp_path / "db").port
    taken = taken_again(int(remembered.read_text())) if remembered.exists() else nullcontext()
    with taken, started(tmp_path / "db", mongod) as server:
        write(server, 1)
        assert rows(server) == [1]


@contextmanager
def taken_again(port: int) -> Iterator[None]:
    """The killed child's server leaves the port a moment after it."""
    deadline = time.monotonic() + 3
    while time.monotonic() < deadline:
        with suppress(ConnectionRefusedError), socket.create_connection(("127.0.0.1", port)):
            time.sleep(0.02)
            continue
        break
    with listener(port):
        yield


# -- who may read and who may enter


def test_every_file_is_private_whatever_the_umask(tmp_path, mongod):
    before = os.umask(0)
    try:
        with started(tmp_path / "db", mongod):
            os.umask(before)
            folder = Folder(tmp_path / "db")
            modes = {one.name: stat.S_IMODE(one.stat().st_mode) for one in [folder.marker, *folder.path.iterdir()]}
            assert modes.pop("mongod-data") == stat.S_IMODE(folder.path.stat().st_mode) == 0o700
            assert set(modes.values()) == {0o600}
            assert {"mongod-key", "mongod-password", "mongod-port", "mongod.log", "first-start-done"} <= set(modes)
    finally:
        os.umask(before)


def test_a_folder_of_others_files_is_left_as_it_is(tmp_path, mongod):
    shared = tmp_path / "home"
    shared.mkdir(mode=0o755)
    (shared / "letter").touch()
    with pytest.raises(StartupFailure, match="name an empty folder"):
        start_embedded(shared, mongod)
    assert [one.name for one in shared.iterdir()] == ["letter"]
    assert stat.S_IMODE(shared.stat().st_mode) == 0o755


def test_without_the_password_nothing_can_be_done(tmp_path, mongod):
    with started(tmp_path / "db", mongod), MongoClient("127.0.0.1", port_of(tmp_path / "db")) as stranger:
        for attempt in (
            lambda: stranger.list_database_names(),
            lambda: stranger.trial.rows.find_one(),
            lambda: stranger.trial.rows.insert_one({}),
            lambda: stranger.admin.command("createUser", "second", pwd="x", roles=["root"]),
            lambda: stranger.admin.command("replSetGetConfig"),
        ):
            with pytest.raises(OperationFailure) as refused:
                attempt()
            assert refused.value.code == 13


def test_the_password_is_told_to_nobody(tmp_path, mongod):
    folder = Folder(tmp_path / "db")
    with started(folder.path, mongod) as server:
        password = folder.password.read_text()
        assert len(password) >= 32
        assert password in server.uri
        seen = [repr(server), str(vars(server)["_child"]), folder.log.read_text()]
        for name in ("cmdline", "environ"):
            proc = Path(f"/proc/{server.pid}/{name}")
            seen += [proc.read_text()] if proc.exists() else []
    other = "0" * 64
    folder.password.write_text(other)
    with pytest.raises(StartupFailure, match="is not the password of") as refused:
        start_embedded(folder.path, mongod)
    seen += ["".join(traceback.format_exception(refused.value)), folder.log.read_text()]
    assert [text for text in seen if password in text or other in text] == []


def test_a_lost_password_is_named_and_the_data_stays(tmp_path, mongod):
    folder = Folder(tmp_path / "db")
    with started(folder.path, mongod) as server:
        write(server, 1)
    password = folder.password.read_text()
    folder.password.unlink()
    with pytest.raises(StartupFailure, match="is gone: bring it back"):
        start_embedded(folder.path, mongod)
    folder.password.write_text(password)
    with started(folder.path, mongod) as again:
        assert rows(again) == [1]


# -- the binary, and what it says


def test_a_missing_library_is_named(tmp_path):
    words = "error while loading shared libraries: libcrypto.so.3: cannot open shared object file: No such file"
    binary = script(tmp_path / "mongod", f"echo '{words}' >&2; exit 127")
    with pytest.raises(StartupFailure, match=r"the library libcrypto\.so\.3 is missing; .*libssl3"):
        find_mongod(binary)


def test_an_older_c_library_is_named(tmp_path):
    binary = script(
        tmp_path / "mongod", 'echo "libc.so.6: version \\`GLIBC_2.34\' not found (required by x)" >&2; exit 1'
    )
    with pytest.raises(StartupFailure, match=r"needs GLIBC_2\.34"):
        find_mongod(binary)


@pytest.mark.parametrize(("mode", "text"), [(0o600, "text"), (0o700, "text"), (0o700, "#!/bin/sh\necho hello\n")])
def test_a_file_that_is_no_mongod_is_refused_with_the_install_line(tmp_path, mode, text):
    binary = tmp_path / "mongod"
    binary.write_text(text)
    binary.chmod(mode)
    with pytest.raises(StartupFailure, match=r"pip install 'permission-mongo\[embedded\]'|--mongod PATH"):
        find_mongod(binary)


def test_a_given_binary_that_fails_is_not_replaced_by_another(tmp_path):
    with pytest.raises(StartupFailure, match="absent"):
        find_mongod(tmp_path / "absent")


def test_a_mongod_on_the_path_goes_before_the_package_if_it_runs(tmp_path, mongod, monkeypatch):
    first = script(tmp_path / "mongod", "echo db version v9.9.9")
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    assert find_mongod(None) == first
    script(first, "exit 127")
    assert find_mongod(None) == mongod


def test_nothing_found_tells_the_install_line(tmp_path):
    """An interpreter that sees this project and one dependency, and so no packaged server."""
    import jiter  # noqa: PLC0415  # only to find where it lies

    for module in (permission_mongo, jiter):
        (tmp_path / module.__name__).symlink_to(Path(module.__file__).parent)
    code = "from permission_mongo.storage.mongod import find_mongod as f; f(None)"
    told = subprocess.run(
        [sys.executable, "-S", "-c", code],
        env={"PYTHONPATH": str(tmp_path), "PATH": str(tmp_path)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
    ).stderr
    assert "StartupFailure: the embedded server needs a mongod, and none was found: " in told
    assert "pip install 'permission-mongo[embedded]'" in told or "--mongod PATH" in told


def test_data_in_use_and_open_key_files_are_told_in_words(tmp_path, mongod):
    with started(tmp_path / "db", mongod):
        folder = Folder(tmp_path / "db")
        second = spawn(mongod, folder, 0)
        assert "in use by another server" in why_it_stopped(second.wait(10), folder.log)
        folder.key.chmod(0o644)
        third = spawn(mongod, folder, 0)
        assert "too open" in why_it_stopped(third.wait(10), folder.log)
