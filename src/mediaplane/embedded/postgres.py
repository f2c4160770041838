"""PostgreSQL from the wheel's binaries, shared by all processes that use one state directory.

How it stays whole: users are counted by `lease.py`; the last one out stops the server; a server whose owners were
killed is adopted by the next one in; whether one runs is asked of its socket, never of a pid file (pids are used
again, and a zombie's pid looks alive). It listens on a Unix socket only, in a directory of mode 0700.

Python's `atexit` does not run on SIGTERM: a process that starts a server must turn SIGTERM into an ordinary end
(or call `close()` in its handler), as `with EmbeddedPostgres(...)` in an asyncio program with signal handlers does.
After SIGKILL the server runs on until the next user of the state directory leaves.
"""

import hashlib
import os
import shutil
import signal
import socket
import stat
import struct
import subprocess
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import quote

from mediaplane.embedded.account import Account, unprivileged_account
from mediaplane.embedded.binaries import find_postgres
from mediaplane.embedded.lease import Lease
from mediaplane.embedded.process import (
    end,
    find_processes,
    has_ended,
    last_lines,
    launch,
    plain_environment,
    wait_until,
)
from mediaplane.errors import ServiceFailed

POSTGRES_MAJOR = "18"
START_TIMEOUT_SECONDS = 60.0  # recovery after a crash replays at most max_wal_size
STOP_TIMEOUT_SECONDS = 60.0
ORPHANS_TIMEOUT_SECONDS = 5.0
SOCKET_PATH_MAX_BYTES = 107  # Source: unix(7), sun_path of 108 bytes with its closing zero
_SOCKET_NAME = ".s.PGSQL.5432"
# The shortest question every PostgreSQL answers. Source: PostgreSQL manual, Message Formats, SSLRequest.
_SSL_REQUEST = struct.pack("!2i", 8, 80877103)

_INITDB_OPTIONS = (
    "--username=postgres",
    "--auth-local=trust",  # the socket's directory lets in nobody but its owner (and root)
    "--auth-host=scram-sha-256",
    "--encoding=UTF8",
    "--locale-provider=builtin",  # C.UTF-8 of the server itself: lower-cases É and Ž on every machine alike
    "--builtin-locale=C.UTF-8",
    "--locale=C",
    "--no-instructions",
)
# Given on the command line, not in postgresql.conf, so that a new release's values hold for old data too.
_SERVER_OPTIONS = {
    "listen_addresses": "",
    "max_connections": "200",
    "shared_buffers": "256MB",
    "work_mem": "32MB",
    "maintenance_work_mem": "256MB",
    "max_wal_size": "1GB",
    "wal_compression": "on",
    "jit": "off",
    "random_page_cost": "1.1",
    # Parallel queries need /dev/shm, of which containers have 64 MB; the cores are busy with media anyway.
    "max_parallel_workers_per_gather": "0",
    "max_parallel_maintenance_workers": "0",
    "timezone": "UTC",
    "log_timezone": "UTC",
    # One file for each hour of the day, begun anew the next day: the log cannot grow without end.
    "logging_collector": "on",
    "log_directory": "log",
    "log_filename": "postgresql-%H.log",
    "log_rotation_age": "60",
    "log_rotation_size": "0",
    "log_truncate_on_rotation": "on",
    "log_checkpoints": "off",
}


class EmbeddedPostgres:
    """The PostgreSQL of one state directory. `start` and `close` may be called again; not for several threads."""

    def __init__(self, state_dir: Path) -> None:
        self._home = state_dir.resolve() / "postgres"
        self._data = self._home / "data"
        self._start_log = self._home / "start.log"
        self._lease = Lease(self._home)
        # In the title of each of its processes, which everybody may read, so that they are found without /proc
        # rights. It follows the directory, as the server does.
        self._name = "mediaplane-" + hashlib.sha256(os.fsencode(self._home)).hexdigest()[:12]
        self._account: Account = unprivileged_account(self._data)

    @property
    def dsn(self) -> str:
        """The address for libpq and `DATABASE_URL`; it does not change while the state directory stays in place."""
        return f"postgresql://postgres@/postgres?host={quote(str(self._socket_directory), safe='')}"

    def start(self) -> None:
        """Join the running server, or start it; return when it takes connections. Also revives one that died.

        Raises:
            ServiceFailed: it does not start; the message ends with the last lines of its log.
        """
        self._home.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._lease.enter(self._ensure_running, self._stop)

    def close(self) -> None:
        """Give up our share; stop the server if nobody else has one.

        Raises:
            ServiceFailed: it does not stop.
        """
        self._lease.leave(self._stop)

    def is_running(self) -> bool:
        """Whether the server takes connections now."""
        return self._listener() is not None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # The socket

    @property
    def _socket_directory(self) -> Path:
        """Inside the data directory, or for a long path in a short directory of our own under /tmp."""
        usual = self._data / "run"
        if len(os.fsencode(usual / _SOCKET_NAME)) <= SOCKET_PATH_MAX_BYTES:
            return usual
        # Not tempfile.gettempdir(): two users of the state directory may have different TMPDIRs. PostgreSQL touches
        # its socket now and then, so cleaners of /tmp let it live.
        return Path("/tmp") / f"{self._name}-{self._account.uid}"  # noqa: S108 - verified in _make_socket_directory

    def _make_socket_directory(self) -> None:
        directory = self._socket_directory
        directory.mkdir(mode=0o700, exist_ok=True)
        status = directory.lstat()
        if not stat.S_ISDIR(status.st_mode) or status.st_uid not in {self._account.uid, os.geteuid()}:
            raise ServiceFailed(f"{directory} must be a directory of ours for PostgreSQL's socket: remove it")
        directory.chmod(0o700)
        self._account.take(directory)

    def _listener(self) -> int | None:
        """Return the pid of the server that answers on our socket; the kernel keeps it, no file can lie.

        It must answer, not only accept: the kernel still accepts for a process that is being killed.
        """
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(2)
            try:
                client.connect(os.fsencode(self._socket_directory / _SOCKET_NAME))
                client.sendall(_SSL_REQUEST)
                answer = client.recv(1)
                credentials = client.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
            except OSError:
                return None
        pid, uid, _ = struct.unpack("3i", credentials)
        return int(pid) if answer and uid == self._account.uid else None

    # The server's life

    def _ensure_running(self) -> None:
        if not self._settle():
            self._initialise()
            self._launch()

    def _settle(self) -> bool:
        """Wait while a server is coming up or going down; True if one is ready, False if there is none.

        Either may be met here: its owner was killed in the middle. After a kill -9 of the postmaster its children
        end by themselves within moments; one deep in a query does not notice and is told to.
        """
        if not self._wait_settled(ORPHANS_TIMEOUT_SECONDS):
            self._end_orphans()
            if not self._wait_settled(START_TIMEOUT_SECONDS):
                raise ServiceFailed(f"processes of an earlier PostgreSQL in {self._data} do not end")
        return self._is_ready()

    def _wait_settled(self, seconds: float) -> bool:
        return wait_until(lambda: self._is_ready() or not self._is_alive(), seconds=seconds)

    def _end_orphans(self) -> None:
        """End what belongs to no server of this data directory.

        A postmaster that the pid file does not name lost its directory: it was deleted and made anew.
        """
        named = self._pid_file_lines()[:1]
        owned = [pid for pid in self._postmasters() if [str(pid)] == named]
        if not owned:
            end(self._postmasters() + self._children(), signal.SIGQUIT)

    def _is_ready(self) -> bool:
        return self._listener() is not None and self._pid_file_lines()[7:8] == ["ready"]

    def _is_alive(self) -> bool:
        ours = (f"cluster_name={self._name}", f"postgres: {self._name}: ")
        return self._listener() is not None or bool(
            find_processes(lambda line: ours[0] in line or line[0].startswith(ours[1]))
        )

    def _postmasters(self) -> list[int]:
        return find_processes(lambda line: f"cluster_name={self._name}" in line)

    def _children(self) -> list[int]:
        return find_processes(lambda line: line[0].startswith(f"postgres: {self._name}: "))

    def _pid_file_lines(self) -> list[str]:
        try:
            return [line.strip() for line in (self._data / "postmaster.pid").read_text().splitlines()]
        except OSError:
            return []

    def _initialise(self) -> None:
        """Make the data directory, whole or not at all: initdb works beside it, then one rename."""
        if (self._data / "PG_VERSION").exists():
            self._check_version()
        else:
            self._run_initdb()

    def _run_initdb(self) -> None:
        for half_made in self._home.glob("new-*"):
            shutil.rmtree(half_made, ignore_errors=True)  # an initdb that lost its owner may still write there
        fresh = Path(tempfile.mkdtemp(prefix="new-", dir=self._home))
        self._account.take(fresh)
        finished = subprocess.run(
            [
                str(find_postgres(self._account) / "initdb"),
                f"--pgdata={self._path_for_server(fresh)}",
                *_INITDB_OPTIONS,
            ],
            cwd=fresh,
            env=plain_environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
            **self._account.child_options(),
        )
        if finished.returncode != 0:
            shutil.rmtree(fresh, ignore_errors=True)
            raise ServiceFailed(
                f"initdb failed: {(finished.stdout + finished.stderr).decode(errors='replace')[-1500:]}"
            )
        fresh.rename(self._data)

    def _check_version(self) -> None:
        version = (self._data / "PG_VERSION").read_text().strip()
        if version != POSTGRES_MAJOR:
            raise ServiceFailed(
                f"{self._data} was made by PostgreSQL {version}, this release brings {POSTGRES_MAJOR}: "
                "dump it with the old release, or choose another MEDIAPLANE_STATE_DIR"
            )

    def _path_for_server(self, directory: Path) -> str:
        """Return how the server calls the directory it is started in.

        The user to which root drops cannot pass through a private home, but it can use the working directory that
        root has opened for it, and the name below leads there without a walk through the directories above.
        PostgreSQL never leaves its data directory. Rejected: data elsewhere with a pointer (deleting the state
        directory would leave it behind), user namespaces and bind mounts (forbidden in most containers).
        """
        return "/proc/self/cwd" if self._account.drops else str(directory)

    def _launch(self) -> None:
        self._make_socket_directory()
        self._remove_stale_files()
        inside = self._socket_directory.parent == self._data
        options = _SERVER_OPTIONS | {
            "cluster_name": self._name,
            "unix_socket_directories": "run" if inside else str(self._socket_directory),
        }
        argv = [str(find_postgres(self._account) / "postgres"), "-D", self._path_for_server(self._data)]
        argv += [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
        pid = launch(argv, cwd=self._data, log=self._start_log, account=self._account)
        wait_until(lambda: self._is_ready() or has_ended(pid), seconds=START_TIMEOUT_SECONDS)
        if not self._is_ready():
            raise ServiceFailed(f"PostgreSQL did not start in {self._home}:\n{self._log_tail()}")

    def _remove_stale_files(self) -> None:
        """Remove what would keep the server from starting; called only when none of ours is alive.

        A pid file whose pid is free is left to PostgreSQL, which also asks by it whether the old shared memory is
        still in use. One whose pid lives (a zombie, or used again by a stranger) it would take for a server.
        """
        for path in self._socket_directory.glob(".s.PGSQL.*"):
            path.unlink()
        lines = self._pid_file_lines()
        if not lines or not lines[0].isdigit() or Path("/proc", lines[0]).exists():
            (self._data / "postmaster.pid").unlink(missing_ok=True)

    def _stop(self) -> None:
        # SIGINT is "fast": clients are cut off, all is written. SIGQUIT is "immediate": the next start recovers.
        for how in (signal.SIGINT, signal.SIGQUIT):
            end(self._postmasters(), how)
            if wait_until(lambda: not self._postmasters(), seconds=STOP_TIMEOUT_SECONDS):
                break
        if not wait_until(lambda: not self._is_alive(), seconds=ORPHANS_TIMEOUT_SECONDS):
            self._end_orphans()  # the postmaster was killed; see _settle
            if not wait_until(lambda: not self._is_alive(), seconds=STOP_TIMEOUT_SECONDS):
                raise ServiceFailed(f"PostgreSQL in {self._home} does not stop:\n{self._log_tail()}")
        if self._socket_directory.parent != self._data:
            shutil.rmtree(self._socket_directory, ignore_errors=True)

    def _log_tail(self) -> str:
        logs = sorted(self._data.glob("log/*.log"), key=lambda log: log.stat().st_mtime)
        return last_lines(*logs[-1:], self._start_log)
