"""The gateway under load, against a constant FastAPI handler under the same server: `make bench-gateway`.

wrk, gateway and PostgreSQL share the machine. Runs of both alternate, medians count, and beside each rate stands the
processor time of the server's process for one request, which other work on the machine disturbs less.
"""

import argparse
import asyncio
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import httpx

from benchmarks import gateway_streams, wrk_runs
from benchmarks.gateway_servers import Server, running
from benchmarks.signing import presigner
from mediaplane.access.keys import make_key
from mediaplane.catalog import accounts
from mediaplane.embedded.postgres import EmbeddedPostgres
from mediaplane.postgres import connect, migrate

ASSETS = 1000
LOAD = 0.7  # of the highest rate, where latency is measured
LEAST_BYTES, MOST_PUTS = 1000, 10_000  # of the uploads of one run
PRESIGN_RUNS = 3


@dataclass(frozen=True)
class Bench:
    """What the figures are measured on."""

    gateway: Server
    constant: Server
    key: str  # of an administrator: what it is given is somebody else's, so each URL is audited
    directory: Path
    runs: int
    seconds: float
    sizes: Iterator[int] = field(default_factory=lambda: count(LEAST_BYTES, MOST_PUTS))

    @property
    def header(self) -> str:
        """The credentials, as wrk takes them."""
        return f"authorization: Bearer {self.key}"


def main() -> None:
    """Print the figures that were asked for, one JSON line each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", help=f"some of {','.join(FIGURES)}")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=5.0, help="of one run of wrk")
    chosen = parser.parse_args()
    if shutil.which("wrk") is None:
        sys.exit("wrk is missing: on Debian, as root, make services")
    names = chosen.only.split(",") if chosen.only else list(FIGURES)
    measured = [name for name in names if name in UNDER_LOAD]
    if measured:
        _under_load(measured, runs=chosen.runs, seconds=chosen.seconds)
    if "streams" in names:
        gateway_streams.main()
    if "scan" in names:
        subprocess.run([sys.executable, "-m", "benchmarks.scan"], check=True)


def _under_load(names: Sequence[str], *, runs: int, seconds: float) -> None:
    with tempfile.TemporaryDirectory() as text, EmbeddedPostgres(Path(text) / "pg") as postgres:
        directory = Path(text)
        key = asyncio.run(_prepare(postgres.dsn))
        environ = {
            "DATABASE_URL": postgres.dsn,
            "MEDIAPLANE_STATE_DIR": text,
            "MEDIAPLANE_LOCAL_DIR": f"{text}/media",
            "MEDIAPLANE_AUTH": "on",
            "MEDIAPLANE_PUBLIC_URL": "https://media.example.com",
            "S3_ENDPOINT": "https://s3.example.com",  # asked for nothing: URLs are signed here
            "S3_ACCESS_KEY_ID": "AKIDEXAMPLE",
            "S3_SECRET_ACCESS_KEY": "wJalrXUtnFEMI/K7MDENG",
        }
        with running("gateway", environ) as gateway, running("constant", {}) as constant:
            bench = Bench(gateway, constant, key, directory, runs, seconds)
            for name in names:
                for figure in UNDER_LOAD[name](bench):
                    print(json.dumps(figure, ensure_ascii=False), flush=True)


async def _prepare(dsn: str) -> str:
    """Make the tables, somebody's assets, and an administrator's key."""
    await migrate(dsn)
    made = make_key()
    async with await connect(dsn) as conn:
        await accounts.add(
            conn, key_id=made.key_id, digest=made.digest, owner="boss", team="boss", role="admin", scopes=[]
        )
        await conn.execute(
            "INSERT INTO assets (asset_id, owner, team, title, status, kind) "
            "SELECT 'asset-' || n, 'somebody', 'team', 'Recording ' || n, 'ready', 'video' "
            "FROM generate_series(0, %s) n",
            [ASSETS - 1],
        )
        await conn.execute(
            "INSERT INTO objects (store, key, asset_id, owner, team, role, state, size_bytes, content_type) "
            "SELECT 's3', 'videos/original/asset-' || n || '/master.mp4', 'asset-' || n, 'somebody', 'team', "
            "'original', 'stored', 1000000, 'video/mp4' FROM generate_series(0, %s) n",
            [ASSETS - 1],
        )
        await conn.execute("ANALYZE")
    return made.text


def signed_get(bench: Bench) -> list[dict[str, Any]]:
    """One signed URL: auth, row check, record of it on disk before the reply."""
    ours, peer = _alternate(bench, _get(bench), _constant(bench))
    return [_ratio("signed_get", ours, peer, "requests/s")]


def upload_pair(bench: Bench) -> list[dict[str, Any]]:
    """An upload begun and completed; its bytes are put into the directory in between, which is not counted."""
    ours, peer = _alternate(bench, partial(_pairs, bench), _constant(bench))
    return [_ratio("upload_pair", ours, peer, "pairs/s")]


def signed_1000(bench: Bench) -> list[dict[str, Any]]:
    """A thousand signed URLs in one call, processor time of the gateway's process, against boto3's presigner."""
    body = json.dumps({"wishes": [{"asset_id": f"asset-{number}"} for number in range(1000)]})
    sign, keys = presigner()
    ours, peer = [], []
    with httpx.Client(headers={"authorization": f"Bearer {bench.key}", "content-type": "application/json"}) as client:
        for _ in range(bench.runs):
            before = bench.gateway.cpu_seconds()
            for _ in range(calls := 20):
                answer = client.post(f"{bench.gateway.url}/v1/urls", content=body)
            assert sum(one["url"] is not None for one in answer.json()["urls"]) == 1000
            ours.append((bench.gateway.cpu_seconds() - before) / calls)
            began = time.process_time()
            for _ in range(PRESIGN_RUNS):
                for key in keys:
                    sign(key)
            peer.append((time.process_time() - began) / PRESIGN_RUNS)
    mine, theirs = statistics.median(ours), statistics.median(peer)
    return [_figure("signed_1000", mine / theirs, mine, theirs, "CPU-s", peer_name="boto3", runs=bench.runs)]


def p99_over_p50(bench: Bench) -> list[dict[str, Any]]:
    """How much longer the slow ones take, at 70% of the highest rate."""
    highest = [statistics.median(found) for found in zip(*(_rates(bench) for _ in range(3)), strict=True)]
    spreads: tuple[list[float], list[float]] = ([], [])
    for _ in range(bench.runs):
        for spread, rate, measure in zip(spreads, highest, (_get(bench), _constant(bench)), strict=True):
            found = measure(script="paced.lua", environ={"WRK_RATE": str(rate * LOAD)})
            spread.append(found.p99_ms / found.p50_ms)
    ours, peer = (statistics.median(spread) for spread in spreads)
    return [_figure("p99_over_p50", ours / peer, ours, peer, "p99 ÷ p50", peer_name="constant", runs=bench.runs)]


UNDER_LOAD: dict[str, Callable[[Bench], list[dict[str, Any]]]] = {
    "signed_get": signed_get,
    "upload_pair": upload_pair,
    "signed_1000": signed_1000,
    "p99_over_p50": p99_over_p50,
}
FIGURES = (*UNDER_LOAD, "streams", "scan")

Measure = Callable[..., wrk_runs.Run]


def _get(bench: Bench) -> Measure:
    url = f"{bench.gateway.url}/v1/assets/asset-7/urls/original"
    return partial(wrk_runs.run, url, seconds=bench.seconds, header=bench.header)


def _constant(bench: Bench) -> Measure:
    return partial(wrk_runs.run, f"{bench.constant.url}/constant", seconds=bench.seconds)


def _rates(bench: Bench) -> tuple[float, float]:
    return _get(bench)().rate, _constant(bench)().rate


def _pairs(bench: Bench) -> wrk_runs.Run:
    """Begin uploads for half of the time, put their bytes, complete them all."""
    directory = Path(tempfile.mkdtemp(dir=bench.directory))
    body, answers, paths = (directory / name for name in ("body", "answers", "paths"))
    # each of its own size, as real ones are: among many of one size each is compared with all others
    body.write_text('{"name": "clip.mp4", "size_bytes": %NUMBER%, "content_type": "video/mp4"}')
    environ = {"WRK_BODY": str(body), "WRK_ANSWERS": str(answers), "WRK_FIRST": str(next(bench.sizes))}
    begun = wrk_runs.run(
        f"{bench.gateway.url}/v1/uploads",
        seconds=bench.seconds / 2,
        script="post.lua",
        header=bench.header,
        environ=environ,
    )
    ids = [_put_bytes(bench.directory / "media", line) for line in answers.read_text().splitlines()]
    paths.write_text("".join(f"/v1/uploads/{upload_id}/complete\n" for upload_id in ids))
    seconds = len(ids) / begun.rate + wrk_runs.seconds_for_each(bench.gateway.url, paths, header=bench.header)
    return wrk_runs.Run(len(ids), seconds, begun.p50_ms, begun.p99_ms)


def _put_bytes(media: Path, answer: str) -> str:
    """Write a file of its own that begins as an MP4 does, as the signed PUT would; return the upload's id."""
    upload = json.loads(answer)
    path = media / httpx.URL(upload["put"]["url"]).path.removeprefix("/v1/objects/local/")
    path.parent.mkdir(parents=True, exist_ok=True)
    unique = upload["upload_id"].encode()
    path.write_bytes((b"\0\0\0\x18ftypisom\0\0\2\0isomiso2" + unique).ljust(upload["size_bytes"], b"\0"))
    return str(upload["upload_id"])


@dataclass(frozen=True)
class Series:
    """Medians of several runs of one of both."""

    rate: float
    cpu_ms: float  # of the server's process, a request
    runs: int


def _alternate(bench: Bench, ours: Measure, peer: Measure) -> tuple[Series, Series]:
    found: tuple[list[tuple[float, float]], list[tuple[float, float]]] = ([], [])
    for number in range(bench.runs + 1):
        for series, measure, server in zip(found, (ours, peer), (bench.gateway, bench.constant), strict=True):
            before = server.cpu_seconds()
            run = measure()
            if number:  # the first warms both up
                series.append((run.rate, 1000 * (server.cpu_seconds() - before) / run.requests))
    mine, theirs = (
        Series(statistics.median(rate for rate, _ in series), statistics.median(cpu for _, cpu in series), len(series))
        for series in found
    )
    return mine, theirs


def _ratio(name: str, ours: Series, peer: Series, unit: str) -> dict[str, Any]:
    cpu = {"ours_cpu_ms": round(ours.cpu_ms, 3), "peer_cpu_ms": round(peer.cpu_ms, 3)}
    figure = _figure(name, ours.rate / peer.rate, ours.rate, peer.rate, unit, peer_name="constant", runs=ours.runs)
    return {**figure, **cpu, "cpu_value": round(peer.cpu_ms / ours.cpu_ms, 3)}


def _figure(
    name: str, value: float, ours: float, peer: float, unit: str, *, peer_name: str, runs: int
) -> dict[str, Any]:
    figures = {"value": round(value, 3), "ours": round(ours, 4), "peer": round(peer, 4)}
    return {"name": name, **figures, "peer_name": peer_name, "unit": unit, "runs": runs}


if __name__ == "__main__":
    main()
