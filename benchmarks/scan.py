"""A scan of 1,000,000 keys that are all known, against listing them alone: time, and the scan's memory.

    python -m benchmarks.scan [--keys 1000000] [--runs 3]

The bucket is the stand-in's, the catalog a real PostgreSQL with a row for every key. Each run is a process of its own;
listings and scans alternate, and their medians are compared.
"""

import argparse
import asyncio
import json
import os
import resource
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from urllib.parse import urlsplit

from benchmarks.transfer_servers import Server, stand_in
from mediaplane.embedded.postgres import EmbeddedPostgres
from mediaplane.postgres import connect, migrate
from mediaplane.settings import load_settings
from mediaplane.storage.endpoint import read_endpoint
from mediaplane.storage.listing import Listing
from mediaplane.wiring import open_plane

PREFIX = "videos/original/"
PIPELINED = 500
COPY_OBJECTS = (
    "COPY objects (store, key, asset_id, owner, team, role, state, size_bytes, etag, content_type) FROM STDIN"
)


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--keys", type=int, default=1_000_000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--measured", choices=("listing", "scan"), help=argparse.SUPPRESS)  # in a process of its own
    options, _ = parser.parse_known_args()  # `benchmarks.gateway` has more
    if options.measured:
        measured = _list() if options.measured == "listing" else asyncio.run(_scan())
        print(json.dumps({**measured, "mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}))
        return
    with (
        tempfile.TemporaryDirectory() as directory,
        stand_in() as server,
        EmbeddedPostgres(Path(directory) / "pg") as postgres,
    ):
        environ = _environ(server, postgres.dsn, directory)
        _fill(server, options.keys)
        asyncio.run(_know(postgres.dsn, environ))
        _compare(environ, options)


def _compare(environ: dict[str, str], options: argparse.Namespace) -> None:
    found: dict[str, list[dict[str, float]]] = {"listing": [], "scan": []}
    for _ in range(options.runs):
        for name, runs in found.items():
            command = [sys.executable, "-m", "benchmarks.scan", "--measured", name]
            done = subprocess.run(command, env=environ, stdout=subprocess.PIPE, check=True, text=True)
            runs.append(json.loads(done.stdout))
            assert runs[-1]["keys"] == options.keys and runs[-1].get("registered", 0) == 0, runs[-1]
    seconds = {name: statistics.median(run["seconds"] for run in runs) for name, runs in found.items()}
    cpu = {name: statistics.median(run["cpu"] for run in runs) for name, runs in found.items()}
    for name, values, unit in (("scan_time", seconds, "s"), ("scan_cpu", cpu, "s of our process's CPU")):
        ratio = round(values["scan"] / values["listing"], 3)
        figure = {"name": name, "value": ratio, "ours": round(values["scan"], 2), "peer": round(values["listing"], 2)}
        print(json.dumps({**figure, "peer_name": "listing alone", "unit": unit, "runs": options.runs}))
    most = round(max(run["mb"] for run in found["scan"]), 1)
    figure = {"name": "scan_mb", "value": most, "ours": most, "peer": None, "peer_name": None}
    print(json.dumps({**figure, "unit": f"MB at most, {options.keys} keys", "runs": options.runs}))


def _environ(server: Server, dsn: str, directory: str) -> dict[str, str]:
    return {
        **os.environ,
        "DATABASE_URL": dsn,
        "MEDIAPLANE_STATE_DIR": directory,
        "MEDIAPLANE_SIGNING_KEY": "a key for this benchmark",
        "STORAGE_MODE": "s3",
        "S3_ENDPOINT": server.url,
        "S3_BUCKET": "b",
        "S3_ACCESS_KEY_ID": server.access_key,
        "S3_SECRET_ACCESS_KEY": server.secret_key,
    }


def _list() -> dict[str, float]:
    listing = Listing(read_endpoint(load_settings()))
    began, used = time.perf_counter(), time.process_time()
    keys = sum(len(page) for page in listing.find_pages(PREFIX))
    return {"keys": keys, "seconds": time.perf_counter() - began, "cpu": time.process_time() - used}


async def _scan() -> dict[str, float]:
    async with open_plane(load_settings()) as plane:
        (scanner,) = [one for one in plane.scanners() if one.store_name == "s3"]
        began, used = time.perf_counter(), time.process_time()
        report = await scanner.scan()
        times = {"seconds": time.perf_counter() - began, "cpu": time.process_time() - used}
    return {"keys": report.seen, "registered": report.registered_count, **times}


def _fill(server: Server, keys: int) -> None:
    """Put small objects as fast as the stand-in takes them: many requests in one piece, the answers counted."""
    place = urlsplit(server.url)
    with socket.create_connection((str(place.hostname), place.port or 80)) as link:
        link.sendall(b"PUT /b HTTP/1.1\r\nhost: h\r\ncontent-length: 0\r\n\r\n")
        link.recv(65536)
        for start in range(0, keys, PIPELINED):
            numbers = range(start, min(start + PIPELINED, keys))
            link.sendall(b"".join(_put(number) for number in numbers))
            answered = 0
            tail = b""
            while answered < len(numbers):
                tail += link.recv(1 << 20)
                answered += tail.count(b"\r\n\r\n")
                tail = tail[tail.rfind(b"\r\n\r\n") + 4 :] if b"\r\n\r\n" in tail else tail


def _put(number: int) -> bytes:
    path = f"/b/{PREFIX}recording-{number:07}/master.mp4"
    return f"PUT {path} HTTP/1.1\r\nhost: h\r\ncontent-length: 8\r\n\r\n{number:08}".encode()


async def _know(dsn: str, environ: dict[str, str]) -> None:
    """Give every key its rows, as a scan would have, without the events of it."""
    await migrate(dsn)
    listing = Listing(read_endpoint(load_settings(environ)))
    async with await connect(dsn) as conn:
        await conn.execute("SET session_replication_role = replica")
        async with conn.cursor() as cursor:
            async with cursor.copy("COPY assets (asset_id, owner, team, status) FROM STDIN") as copy:
                for page in listing.find_pages(PREFIX):
                    for info in page:
                        await copy.write_row((info.key.split("/")[2], "local", "local", "ready"))
            async with cursor.copy(COPY_OBJECTS) as copy:
                for page in listing.find_pages(PREFIX):
                    for info in page:
                        asset_id = info.key.split("/")[2]
                        row = ("s3", info.key, asset_id, "local", "local", "original", "stored", info.size_bytes)
                        await copy.write_row((*row, info.etag, "video/mp4"))
        await conn.execute("ANALYZE objects")


if __name__ == "__main__":
    main()
