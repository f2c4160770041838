"""`make bench-transfer`: bulk transfer, ours and its peers on the same server, alternating; one JSON line a figure.

    python -m benchmarks.transfer [--only up,down,big] [--runs 5] [--objects 10000] [--cli]

Every process is started anew and costs what the kernel says it did, children included. After every run objects and
bytes are counted. A figure's `value` is ours ÷ the best peer, of medians; `_md5` and `_off` are ours with other checks
(see `transfer_tools.py`), `_cli` is the command line in place of the Python interface.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from benchmarks import signing, transfer_servers
from benchmarks.transfer_servers import Server
from benchmarks.transfer_tools import BUCKET, OURS, OURS_CLI, OURS_MD5, OURS_OFF, Tool, Work, environment, find_peers
from mediaplane.media.keys import ObjectKey
from mediaplane.storage.bulk.engine import run
from mediaplane.storage.bulk.work import Copy, Options
from mediaplane.storage.endpoint import S3Endpoint
from mediaplane.storage.signing import S3Signer
from mediaplane.storage.wire import Client

OBJECT_BYTES = 16 << 10
BIG_BYTES = 2 << 30
LIST_KEYS = 100_000
SECONDS = 600


@dataclass
class Cost:
    """What runs of one tool took."""

    wall: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    megabytes: list[float] = field(default_factory=list)


@dataclass
class Bench:
    """The options, and where things lie."""

    runs: int
    objects: int
    folder: Path
    peers: list[Tool]
    ours: list[Tool]

    @property
    def source(self) -> str:
        return f"{self.folder}/source/"

    @property
    def names(self) -> Path:
        return self.folder / "names"

    def make_files(self) -> None:
        """Write the small files, each with its own bytes."""
        Path(self.source).mkdir(exist_ok=True)
        block = os.urandom(OBJECT_BYTES)
        names = [f"f{number:06}.bin" for number in range(self.objects)]
        for number, name in enumerate(names):
            Path(self.source, name).write_bytes(number.to_bytes(8, "big") + block[8:])
        self.names.write_text("\n".join(names))

    def tools(self, work: Work) -> list[Tool]:
        return [tool for tool in [*self.ours, *self.peers] if tool.command(work)]


def main() -> None:
    """Run what was asked for."""
    options = _options()
    peers, missing = find_peers()
    for sentence in missing:
        print(f"bench-transfer: {sentence}", file=sys.stderr)
    shared = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=shared if shared.is_dir() else None, prefix="bench-") as folder:
        ours = [OURS, OURS_MD5, OURS_OFF] + ([OURS_CLI] if options.cli else [])
        bench = Bench(options.runs, options.objects, Path(folder), peers, ours)
        bench.make_files()
        wanted = set(options.only.split(",")) if options.only else set(GROUPS)
        for name, group in GROUPS.items():
            if name in wanted:
                group(bench)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="groups, with commas: small, 10ms, big, real, sync, presign")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--objects", type=int, default=10_000)
    parser.add_argument("--cli", action="store_true", help="also our command line")
    return parser.parse_args()


def small(bench: Bench) -> None:
    """Upload, download, copy, list, delete of small objects on the stand-in."""
    with transfer_servers.stand_in() as server:
        _small(bench, server, ("up", "down", "copy", "list", "delete"))


def latency(bench: Bench) -> None:
    """Uploads where every answer takes 10 ms."""
    with transfer_servers.stand_in(latency_ms=10) as server:
        costs = _alternate(bench, server, lambda tool: Work("up", bench.source, f"{tool.name}/", bench.names))
        _figures("up_10ms", costs, bench.runs, ("wall",))


def real(bench: Bench) -> None:
    """Uploads and downloads on SeaweedFS and RGW."""
    for name, start in (("seaweed", transfer_servers.seaweed), ("rgw", transfer_servers.rgw)):
        with start() as server:
            if server is None:
                print(f"bench-transfer: {name} is left out: make services", file=sys.stderr)
                continue
            few = Bench(bench.runs, bench.objects, bench.folder, bench.peers, [OURS_MD5, OURS_OFF])
            _small(few, server, ("up", "down"), f"{name}_", ("wall",))


def _small(
    bench: Bench, server: Server, kinds: tuple[str, ...], prefix: str = "", units: tuple[str, ...] = ("cpu", "wall")
) -> None:
    makers: dict[str, Callable[[Tool], Work]] = {
        "up": lambda tool: Work("up", bench.source, f"{tool.name}/", bench.names),
        "down": lambda tool: Work("down", f"{tool.name}/", f"{bench.folder}/{tool.name}-out/", bench.names),
        "copy": lambda _: Work("copy", "ours/", "copied/", bench.names),
        "list": lambda _: Work("list", "listed/", "", bench.names),
        "delete": lambda _: Work("delete", "deleted/", "", bench.names),
    }
    for kind in kinds:
        costs = _alternate(bench, server, makers[kind])
        suffix = "" if units == ("wall",) else None
        _figures(prefix + kind, costs, bench.runs, units, suffix=suffix)


def _alternate(bench: Bench, server: Server, make: Callable[[Tool], Work]) -> dict[str, Cost]:
    costs: dict[str, Cost] = {}
    for number in range(bench.runs):
        for tool in [*bench.ours, *bench.peers]:
            work = make(tool)
            if (command := tool.command(work)) is None or (number and tool.name == "boto3"):
                continue  # boto3 takes longer than all others together: once is enough to see that it is not the best
            _prepare(bench, server, work)
            _measure(command, server, costs.setdefault(tool.name, Cost()))
            _check(bench, server, work, tool)
    return costs


def _endpoint(server: Server) -> S3Endpoint:
    return S3Endpoint(server.url, BUCKET, server.access_key, server.secret_key)


def _prepare(bench: Bench, server: Server, work: Work) -> None:
    client = Client(_endpoint(server))
    if work.kind == "down":
        shutil.rmtree(work.target, ignore_errors=True)
        Path(work.target).mkdir()
    elif work.kind in ("up", "copy"):  # some skip what is there already
        client.delete_many([found.key for found in client.list_all(work.target)])
    elif work.kind == "delete":
        _fill(client, "deleted/", bench.objects)
    elif work.kind == "list":
        _fill(client, "listed/", LIST_KEYS)


def _fill(client: Client, prefix: str, count: int) -> None:
    """Put as many objects below a prefix, by copies of one."""
    if sum(len(page.objects) for page in client.list_pages(prefix)) == count:
        return
    client.request("PUT", "one", body=b"x" * OBJECT_BYTES)
    (one,) = client.list_all("one")
    names = (f"{prefix}folder-{number // 1000:03}/object-{number:06}.bin" for number in range(count))
    run((Copy(client.endpoint, one, client.endpoint, name) for name in names), Options())


def _measure(command: list[str], server: Server, cost: Cost) -> None:
    began = time.monotonic()
    process = subprocess.Popen(
        command,
        env=environment(server.url, server.access_key, server.secret_key),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    assert process.stderr
    said = process.stderr.read()
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    process.stderr.close()
    if status:
        raise SystemExit(f"{command} failed: {said[-500:].decode()}")
    cost.wall.append(time.monotonic() - began)
    cost.cpu.append(used.ru_utime + used.ru_stime)
    cost.megabytes.append(used.ru_maxrss / 1024)


def _check(bench: Bench, server: Server, work: Work, tool: Tool) -> None:
    """End the benchmark if objects or bytes are not what they should be."""
    count, size = bench.objects, bench.objects * OBJECT_BYTES
    if work.kind == "down":
        found = [entry.stat().st_size for entry in os.scandir(work.target)]
        shutil.rmtree(work.target)
    elif work.kind == "list":
        return
    else:
        prefix = work.source if work.kind == "delete" else work.target
        found = [entry.size_bytes for entry in Client(_endpoint(server)).list_all(prefix)]
        count, size = (0, 0) if work.kind == "delete" else (count, size)
    if (len(found), sum(found)) != (count, size):
        raise SystemExit(f"{tool.name} {work.kind}: {len(found)} objects with {sum(found)} bytes, not {count}, {size}")


def _figures(
    name: str, costs: dict[str, Cost], runs: int, units: tuple[str, ...], *, suffix: str | None = None
) -> None:
    for unit in units:
        medians = {tool: statistics.median(getattr(cost, unit)) for tool, cost in costs.items()}
        peers = {tool: taken for tool, taken in medians.items() if not tool.startswith("ours")}
        if not peers:
            continue
        best = min(peers, key=lambda tool: peers[tool])
        for tool, taken in medians.items():
            if tool.startswith("ours"):
                full = f"{name}{f'_{unit}' if suffix is None else suffix}{tool.removeprefix('ours')}"
                print_figure(full, taken, peers[best], best, f"s {unit}", runs)


def print_figure(name: str, ours: float, peer: float, peer_name: str, unit: str, runs: int) -> None:
    """Print one line."""
    value = round(ours / peer, 3) if peer else round(ours, 1)
    figure = {"name": name, "value": value, "ours": round(ours, 3), "peer": round(peer, 3)}
    print(json.dumps({**figure, "peer_name": peer_name, "unit": unit, "runs": runs}, ensure_ascii=False), flush=True)


def big(bench: Bench) -> None:
    """2 GiB up and down, and the memory it takes."""
    folder = bench.folder / "big"
    folder.mkdir()
    block = transfer_servers.pattern()
    with (folder / "big.bin").open("wb") as file:
        for _ in range(BIG_BYTES // len(block)):
            file.write(block)
    names = folder.with_name("big-names")
    names.write_text("big.bin")
    peak = 0.0
    with transfer_servers.stand_in(
        kept_bytes=1 << 20
    ) as server:  # making room for 2 GiB would cost more than the client
        client = Client(_endpoint(server))
        for kind in ("up", "down"):
            costs: dict[str, Cost] = {}
            for _ in range(bench.runs):
                for tool in [*bench.ours, *bench.peers]:
                    out = bench.folder / "big-out"
                    source, target = (f"{folder}/", "big/") if kind == "up" else ("big/", f"{out}/")
                    command = tool.command(Work(kind, source, target, names))
                    if command is None:
                        continue
                    if kind == "down":
                        out.mkdir()
                    _measure(command, server, costs.setdefault(tool.name, Cost()))
                    size = (out / "big.bin").stat().st_size if kind == "down" else client.head("big/big.bin").size_bytes
                    if size != BIG_BYTES:
                        raise SystemExit(f"{tool.name} {kind}: {size} bytes")
                    shutil.rmtree(out, ignore_errors=True)
            if kind == "up":  # what is downloaded was uploaded by us, with its checksum
                again = OURS.command(Work("up", f"{folder}/", "big/", names))
                assert again
                _measure(again, server, Cost())
            _figures(f"big{kind}", costs, bench.runs, ("wall", "cpu"))
            peak = max([peak, *(max(cost.megabytes) for tool, cost in costs.items() if tool.startswith("ours"))])
    shutil.rmtree(folder)
    print_figure("big_mb", peak, 0, "", "MB", bench.runs)


def sync(bench: Bench) -> None:
    """A million keys in step: memory of `sync`, and its time ÷ that of listing both sides alone."""
    count = 100 * bench.objects
    program = str(Path(sys.executable).parent / "mediaplane")
    with transfer_servers.stand_in() as server:
        client = Client(_endpoint(server))
        for prefix in ("left/", "right/"):
            _fill(client, prefix, count)
        times, listing, peak = [], [], 0.0
        for _ in range(min(bench.runs, 3)):
            both = Cost()
            for prefix in ("left/", "right/"):
                command = OURS.command(Work("list", prefix, "", bench.names))
                assert command
                _measure(command, server, both)
            cost = Cost()
            _measure([program, "s3", "sync", f"s3://{BUCKET}/left/", f"s3://{BUCKET}/right/"], server, cost)
            times.append(cost.wall[0])
            listing.append(sum(both.wall))
            peak = max(peak, cost.megabytes[0])
    print_figure("sync_mb", peak, 0, "", "MB", min(bench.runs, 3))
    print_figure(
        "sync_time", statistics.median(times), statistics.median(listing), "listing both sides", "s wall", len(times)
    )


def presign(bench: Bench) -> None:
    """Presigned GETs per second of processor time, ours ÷ boto3."""
    endpoint = S3Endpoint("https://s3.example", "b", "AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG")
    ours, theirs = S3Signer(endpoint, lifetime=timedelta(hours=1)), signing._boto3(endpoint)  # noqa: SLF001
    keys = [ObjectKey(f"videos/proxy/{number:08}/index.m3u8") for number in range(2000)]
    taken: dict[str, list[float]] = {"ours": [], "boto3": []}
    for _ in range(max(5, bench.runs)):
        for name, sign in (
            ("ours", ours.sign_get),
            ("boto3", lambda key: theirs.generate_presigned_url("get_object", Params={"Bucket": "b", "Key": key})),
        ):
            began = time.process_time()
            for key in keys:
                sign(key)
            taken[name].append(time.process_time() - began)
    ours_rate, peer_rate = (len(keys) / statistics.median(taken[name]) for name in ("ours", "boto3"))
    print_figure("presign", ours_rate, peer_rate, "boto3", "URLs a CPU second", max(5, bench.runs))


GROUPS: dict[str, Callable[[Bench], None]] = {
    "small": small,
    "10ms": latency,
    "big": big,
    "real": real,
    "sync": sync,
    "presign": presign,
}

if __name__ == "__main__":
    main()
