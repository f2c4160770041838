"""SeaweedFS, an S3 server, from its wheel; shared by all processes that use one state directory.

The same rules as for `embedded/postgres.py`: the last one out stops it, the next one in adopts it after a kill -9.
It listens on loopback only. Other users of the machine meet signed requests at the S3 port and signed tokens at
the inner HTTP ports; the inner gRPC ports have no such guard, so on a machine shared with people you do not trust
set S3_ENDPOINT to a server of your own.
"""

import http.client
import json
import os
import random
import secrets
import signal
import socket
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from mediaplane.embedded.account import Account, owning_account
from mediaplane.embedded.binaries import find_weed
from mediaplane.embedded.lease import Lease
from mediaplane.embedded.process import end, find_processes, has_ended, last_lines, launch, wait_until
from mediaplane.errors import NotRunning, ServiceFailed

HOST = "127.0.0.1"
START_TIMEOUT_SECONDS = 60.0
PORTS_TIMEOUT_SECONDS = 2.0
TERM_SECONDS = 2.0
STOP_TIMEOUT_SECONDS = 30.0
_START_ATTEMPTS = 3  # a port chosen as free may be taken before weed opens it

# Every port is chosen: a gRPC port left out is the HTTP port + 10000, which may be taken or above 65535.
_PORT_OPTIONS = (
    "master.port",
    "master.port.grpc",
    "volume.port",
    "volume.port.grpc",
    "filer.port",
    "filer.port.grpc",
    "s3.port",
    "s3.port.grpc",
)
# Below the range from which Linux takes the ports of clients (32768 on): none of those lies in the way at the next
# start, so the endpoint stays. Source: ip(7), ip_local_port_range.
_PORT_RANGE = range(15000, 32000)
_OPTIONS = (
    "-filer",
    "-s3",
    f"-ip={HOST}",
    f"-ip.bind={HOST}",
    "-s3.port.lance=0",
    "-s3.port.iceberg=0",
    "-s3.autoCreateBucket=false",  # a missing bucket is an error, as on every other S3
    "-master.telemetry=false",  # on by default: it would report to its makers
    # A bucket begins with up to seven volume files, which grow up to this size; the disk sets the limit, not a count.
    "-master.volumeSizeLimitMB=1024",
    "-volume.max=100000",
    "-volume.minFreeSpace=1GiB",
    # The only master waits one to two of these at each start but the first, and a volume server that comes before
    # it is elected tries again after five seconds.
    "-master.electionTimeout=400ms",
    "-volume.preStopSeconds=0",  # there is no other volume server to take over
    # Relative to the working directory: a long state directory would exceed the limit of a socket's path.
    "-filer.localSocket=filer.sock",
    "-s3.localSocket=s3.sock",
)


class EmbeddedSeaweed:
    """The SeaweedFS of one state directory. `start` and `close` may be called again; not for several threads."""

    def __init__(self, state_dir: Path) -> None:
        self._home = state_dir.resolve() / "seaweed"
        self._data = self._home / "data"
        self._log = self._home / "weed.log"
        self._lease = Lease(self._home)

    @property
    def endpoint(self) -> str:
        """The URL of the S3 server; it stays the same as long as its port is free at each start.

        Raises:
            NotRunning: it was never started in this state directory.
        """
        return f"http://{HOST}:{self._read('ports.json')['s3.port']}"

    @property
    def access_key(self) -> str:
        """The id of the one pair of keys, which may do everything. Raises `NotRunning` as `endpoint`."""
        return str(self._credentials()["accessKey"])

    @property
    def secret_key(self) -> str:
        """The secret of it. Raises `NotRunning` as `endpoint`."""
        return str(self._credentials()["secretKey"])

    @property
    def was_used(self) -> bool:
        """Whether it has ever run here, so that bytes may lie in it."""
        return self._data.exists()

    def start(self) -> None:
        """Join the running server, or start it; return when it takes requests. Also revives one that died.

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
        """Whether the server takes requests now."""
        return bool(self._pids()) and self._is_ready()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # The server's life

    def _ensure_running(self) -> None:
        if self._pids() and not (self._home / "ports.json").exists():
            self._stop()  # its state directory was deleted under it, and this one made anew
        pids = self._pids()
        for attempt in range(_START_ATTEMPTS):
            if not pids:
                pids = [self._launch(keep_ports=attempt == 0)]
            if self._wait_ready(pids):
                return
            self._stop()
            pids = []
        raise ServiceFailed(f"SeaweedFS did not start in {self._home}:\n{last_lines(self._log)}")

    def _wait_ready(self, pids: list[int]) -> bool:
        def is_settled() -> bool:
            return self._is_ready() or all(map(has_ended, pids))

        return wait_until(is_settled, seconds=START_TIMEOUT_SECONDS) and not all(map(has_ended, pids))

    def _launch(self, *, keep_ports: bool) -> int:
        account = self._account()
        self._data.mkdir(mode=0o700, exist_ok=True)
        if not (self._home / "s3.json").exists():
            self._write("s3.json", json.dumps(_new_identities(), indent=2), account)
        if not (self._home / "security.toml").exists():
            self._write("security.toml", _new_security(), account)
        ports = self._read("ports.json") if keep_ports and (self._home / "ports.json").exists() else {}
        # After a kill -9 its sockets may close a moment after its command line is gone.
        if set(ports) != set(_PORT_OPTIONS) or not wait_until(
            lambda: _are_free(ports.values()), seconds=PORTS_TIMEOUT_SECONDS
        ):
            ports = dict(zip(_PORT_OPTIONS, _free_ports(len(_PORT_OPTIONS)), strict=True))
        self._write("ports.json", json.dumps(ports), account)
        argv = [str(find_weed()), "-logtostderr=true", "server", self._mark, *_OPTIONS]
        argv += [f"-{name}={port}" for name, port in ports.items()] + [f"-s3.config={self._home / 's3.json'}"]
        # weed looks for security.toml in its working directory
        return launch(argv, cwd=self._home, log=self._log, account=account)

    def _account(self) -> Account:
        """Return who runs weed; root runs it for another owner of the data only if that user can reach it."""
        account = owning_account(self._data)
        reachable = account.can_read(find_weed()) and account.can_read(self._data)
        return account if reachable else Account(os.geteuid(), os.getegid(), drops=False)

    @property
    def _mark(self) -> str:
        """The argument by which our weed is told from others: no pid file that could lie."""
        return f"-dir={self._data}"

    def _pids(self) -> list[int]:
        return find_processes(lambda line: self._mark in line)

    def _is_ready(self) -> bool:
        """Whether S3 answers and the master knows the volume server; before that, a PUT fails."""
        try:
            ports = self._read("ports.json")
        except NotRunning:
            return False
        topology = _get(ports["master.port"], "/dir/status")
        if topology is None or json.loads(topology)["Topology"]["Max"] == 0:
            return False
        return _get(ports["s3.port"], "/") is not None

    def _stop(self) -> None:
        """Ask weed to end, then make it: it would wait 15 s for streams between its own parts.

        By then nobody of ours uses it, and what it has answered for is written: a kill costs nothing.
        """
        pids = self._pids()
        for how, seconds in ((signal.SIGTERM, TERM_SECONDS), (signal.SIGKILL, STOP_TIMEOUT_SECONDS)):
            end(pids, how)
            if wait_until(lambda: all(map(has_ended, pids)), seconds=seconds):
                self._remove_sockets()
                return
        raise ServiceFailed(f"SeaweedFS in {self._home} does not stop:\n{last_lines(self._log)}")

    def _remove_sockets(self) -> None:
        """Remove the sockets that weed makes under /tmp, wherever it runs, and leaves there when killed."""
        with suppress(NotRunning):
            for name, port in self._read("ports.json").items():
                if name.endswith(".grpc"):
                    part = name.removesuffix(".port.grpc")
                    Path(f"/tmp/seaweedfs-{part}-grpc-{port}.sock").unlink(missing_ok=True)  # noqa: S108 - weed's choice

    # Files in the state directory

    def _credentials(self) -> Mapping[str, Any]:
        credentials: Mapping[str, Any] = self._read("s3.json")["identities"][0]["credentials"][0]
        return credentials

    def _read(self, name: str) -> Any:
        try:
            return json.loads((self._home / name).read_text())
        except FileNotFoundError:
            raise NotRunning(f"no SeaweedFS has run in {self._home}: run `mediaplane up`") from None

    def _write(self, name: str, text: str, account: Account) -> None:
        """Write a file only its owner can read, whole or not at all."""
        fresh = self._home / f"{name}.new"
        fresh.unlink(missing_ok=True)
        fresh.touch(mode=0o600)  # before the secret is in it
        fresh.write_text(text)
        account.take(fresh)
        fresh.replace(self._home / name)


def _new_identities() -> Mapping[str, Any]:
    keys = {"accessKey": secrets.token_hex(10).upper(), "secretKey": secrets.token_urlsafe(30)}
    actions = ["Admin", "Read", "Write", "List", "Tagging"]
    return {"identities": [{"name": "mediaplane", "credentials": [keys], "actions": actions}]}


def _new_security() -> str:
    """Return the keys with which weed's parts sign what they ask of each other over HTTP."""
    sections = ("jwt.signing", "jwt.signing.read", "jwt.filer_signing", "jwt.filer_signing.read")
    return "\n".join(f'[{section}]\nkey = "{secrets.token_urlsafe(32)}"' for section in sections)


def _get(port: int, path: str) -> bytes | None:
    """Return what a GET answers, whatever the status; None if nobody does."""
    connection = http.client.HTTPConnection(HOST, port, timeout=2)
    try:
        connection.request("GET", path)
        return connection.getresponse().read()
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()


def _free_ports(count: int) -> list[int]:
    """Return different ports that were free a moment ago."""
    chosen: list[int] = []
    with ExitStack() as held:
        for port in random.sample(_PORT_RANGE, len(_PORT_RANGE)):
            with suppress(OSError):
                chosen.append(_bind(held, port))
            if len(chosen) == count:
                return chosen
    raise ServiceFailed(f"no free ports from {_PORT_RANGE.start} to {_PORT_RANGE.stop - 1} for SeaweedFS")


def _are_free(ports: Any) -> bool:
    try:
        with ExitStack() as held:
            return all(_bind(held, port) for port in ports)
    except OSError:
        return False


def _bind(held: ExitStack, port: int) -> int:
    listener = held.enter_context(socket.socket())
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as weed does: old connections do not count
    listener.bind((HOST, port))
    return int(listener.getsockname()[1])
