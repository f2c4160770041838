"""A one-node Ceph object gateway on loopback for tests: one monitor, one OSD in memory, one radosgw, no manager.

Needs the Debian packages `radosgw ceph-mon ceph-osd`; runs as any user; all its state lies in one directory and is
thrown away. Shapes of the configuration: docs.ceph.com, "Ceph configuration reference".
"""

import contextlib
import ctypes
import os
import random
import shutil
import signal
import socket
import subprocess
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.request import urlopen

BINARIES = ("radosgw", "radosgw-admin", "ceph", "ceph-mon", "ceph-osd", "ceph-authtool", "monmaptool")
STORE_BYTES = 2 << 30

CONFIG = """
[global]
fsid = {fsid}
mon host = [v2:127.0.0.1:{mon_port}]
# radosgw 16 hangs with `auth client required = none`, hence cephx with one throw-away keyring
auth cluster required = cephx
auth service required = cephx
auth client required = cephx
cephx sign messages = false
keyring = {root}/keyring
public addr = 127.0.0.1
cluster addr = 127.0.0.1
ms bind ipv4 = true
ms bind msgr1 = false
ms async op threads = 2
run dir = {root}/run
admin socket = {root}/run/$name.asok
crash dir = {root}/crash
log file = {root}/log/$name.log
log to stderr = false
err to stderr = true
# debug lines are gathered in memory even when nobody writes them: a large part of the CPU
{quiet}
throttler perf counter = false
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 8
osd pool default pgp num = 8
osd pool default pg autoscale mode = off
osd crush chooseleaf type = 0
[mon]
mon data = {root}/mon
mon allow pool size one = true
mon max pg per osd = 1000
mon data avail warn = 1
mon data avail crit = 1
mon warn on pool no redundancy = false
auth allow insecure global id reclaim = true
# a lone monitor has nobody to wait for: changes of the map are committed at once
paxos propose interval = 0.02
paxos min wait = 0.01
mgr initial modules =
[osd]
osd data = {root}/osd
osd objectstore = memstore
memstore device bytes = {store_bytes}
ms bind port min = {osd_port}
ms bind port max = {osd_port_end}
osd crush initial weight = 1
osd heartbeat interval = 3
osd fast shutdown = false
osd enable op tracker = false
osd op num shards = 2
osd op num threads per shard = 2
[client.rgw]
rgw data = {root}/rgw
rgw frontends = {frontends}
rgw crypt require ssl = false
rgw dns name = {domain}
rgw thread pool size = 64
rgw dynamic resharding = false
rgw override bucket index max shards = 1
rgw enable ops log = false
rgw enable usage log = false
rgw num rados handles = 1
"""

QUIET = """
ms osd rgw mon monc paxos auth objecter rados bluestore bluefs bdev rocksdb filer journal finisher heartbeatmap
perfcounter asok throttle crush objclass tp timer buffer context optracker lockdep none
"""


class StartFailed(Exception):
    """A server of the tests did not come up; the text has the end of its log."""


def missing_binaries() -> list[str]:
    """Return what has to be installed before `Rgw` can start."""
    return [name for name in BINARIES if shutil.which(name) is None]


def free_port() -> int:
    """Return a TCP port of loopback that nobody listens on; below those that clients are given by the kernel."""
    while True:
        port = random.randrange(20_000, 32_000)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def end_with_parent() -> None:
    """Ask the kernel to end this child when the test run is killed (`preexec_fn`)."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


def answers(url: str) -> bool:
    """Tell whether an HTTP server answers at `url`, whatever it says."""
    try:
        urlopen(url, timeout=2).close()
    except HTTPError as error:
        error.close()
    except (URLError, OSError):
        return False
    return True


def stop_process(process: "subprocess.Popen[bytes]", *, seconds: float) -> None:
    """End one child that we started: TERM, wait, KILL."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(10)


@dataclass
class Rgw:
    """The three daemons with their state in `root`; `start` takes about 4 s."""

    root: Path
    certificate: Path
    private_key: Path
    domain: str
    users: dict[str, tuple[str, str]]  # name -> access key, secret key
    http_port: int = field(default_factory=free_port)
    https_port: int = field(default_factory=free_port)
    more_config: str = ""  # lines for the gateway, such as `rgw lc debug interval = 2`: a lifecycle day of 2 s
    _children: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def start(self) -> None:
        """Make the cluster and its users and wait until the gateway answers."""
        for name in ("run", "log", "mon", "osd", "rgw", "crash"):
            (self.root / name).mkdir(parents=True, exist_ok=True)
        fsid, mon_port, osd_port = str(uuid.uuid4()), free_port(), free_osd_ports()
        self._write_config(fsid, mon_port, osd_port)
        self._make_monitor(fsid, mon_port)
        self._spawn("ceph-mon", "-i", "a", "-f")
        osd_id = str(uuid.uuid4())
        self._run("ceph", "--connect-timeout", "30", "osd", "new", osd_id, "0")
        self._run("ceph-osd", "-i", "0", "--mkfs", "--osd-uuid", osd_id)
        self._spawn("ceph-osd", "-i", "0", "-f")
        self._wait(self._osd_is_up, "the OSD")
        for name, (access_key, secret_key) in self.users.items():
            keys = (f"--access-key={access_key}", f"--secret-key={secret_key}")
            self._run(
                "radosgw-admin", "-n", "client.rgw", "user", "create", f"--uid={name}", f"--display-name={name}", *keys
            )
        self._spawn("radosgw", "-n", "client.rgw", "-f")
        self._wait(lambda: answers(f"http://127.0.0.1:{self.http_port}/"), "radosgw")

    def stop(self) -> None:
        """End the daemons, the gateway first."""
        for process in reversed(self._children):
            stop_process(process, seconds=5)
        self._children.clear()

    def _write_config(self, fsid: str, mon_port: int, osd_port: int) -> None:
        # tcp_nodelay: without it every answer with a body takes 44 ms
        frontends = (
            f"beast endpoint=127.0.0.1:{self.http_port} ssl_endpoint=127.0.0.1:{self.https_port}"
            f" ssl_certificate={self.certificate} ssl_private_key={self.private_key} tcp_nodelay=1"
        )
        text = CONFIG.format(
            fsid=fsid,
            mon_port=mon_port,
            osd_port=osd_port,
            osd_port_end=osd_port + 19,
            root=self.root,
            quiet="\n".join(f"debug {name} = 0/0" for name in QUIET.split()),
            store_bytes=STORE_BYTES,
            frontends=frontends,
            domain=self.domain,
        )
        (self.root / "ceph.conf").write_text(f"{text}{self.more_config}\n")

    def _make_monitor(self, fsid: str, mon_port: int) -> None:
        keyring, monmap = str(self.root / "keyring"), str(self.root / "monmap")
        self._run("monmaptool", "--create", "--fsid", fsid, "--addv", "a", f"[v2:127.0.0.1:{mon_port}]", monmap)
        self._run("ceph-authtool", "--create-keyring", keyring, "--gen-key", "-n", "mon.", "--cap", "mon", "allow *")
        everything = [word for part in ("mon", "osd", "mgr") for word in ("--cap", part, "allow *")]
        for name in ("client.admin", "client.rgw", "osd.0"):
            self._run("ceph-authtool", keyring, "--gen-key", "-n", name, *everything)
        self._run("ceph-mon", "-i", "a", "--mkfs", "--monmap", monmap, "--keyring", keyring)

    def _osd_is_up(self) -> bool:
        return '"num_up_osds":1' in self._run("ceph", "--connect-timeout", "30", "osd", "stat", "-f", "json")

    def _run(self, program: str, *arguments: str) -> str:
        config = () if program in ("monmaptool", "ceph-authtool") else ("-c", str(self.root / "ceph.conf"))
        command = [program, *config, *arguments]
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=90, stdin=subprocess.DEVNULL, check=False
        )
        if done.returncode:
            raise StartFailed(f"{program} {' '.join(arguments)}: {done.stderr[-2000:]}{self._log_ends()}")
        return done.stdout

    def _spawn(self, program: str, *arguments: str) -> None:
        with (self.root / "log" / f"{program}.out").open("ab") as log:
            process = subprocess.Popen(
                [program, "-c", str(self.root / "ceph.conf"), *arguments],
                cwd=self.root,
                stdout=log,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                preexec_fn=end_with_parent,  # noqa: PLW1509 one system call, before any thread of ours
            )
        self._children.append(process)

    def _wait(self, ready: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + 60
        while not ready():
            if time.monotonic() > deadline or any(child.poll() is not None for child in self._children):
                raise StartFailed(f"{what} did not come up{self._log_ends()}")
            time.sleep(0.1)

    def _log_ends(self) -> str:
        logs = sorted((self.root / "log").glob("*.out"))
        return "".join(f"\n{log.name}: {log.read_text(errors='replace')[-1000:]}" for log in logs)


def free_osd_ports() -> int:
    """Return the first of 20 neighbouring ports that are free: the OSD takes several of them."""
    for first in range(20_000 + os.getpid() % 5_000, 31_000, 20):
        try:
            for port in range(first, first + 20):
                with socket.socket() as probe:
                    probe.bind(("127.0.0.1", port))
        except OSError:
            continue
        return first
    raise StartFailed("there are no 20 free ports in a row between 20000 and 31000")
