"""Kill -9 of whatever works while a recording is processed: in the end it is ready, and store and catalog agree."""

import json
import os
import random
import time
from pathlib import Path

import boto3
import psutil
import psycopg
from botocore.config import Config

from tests.acceptance.plane import Plane, running_plane
from tests.services.recordings import make_recording

PAGES = tuple((3.0, (f"Page number {number} of the handbook", f"see chapter {number * 11}")) for number in range(1, 7))
QUICK = {
    "MEDIAPLANE_LEASE_SECONDS": "4",
    "MEDIAPLANE_RETRY_MINUTES": "0.05,0.1,0.1",
    "MEDIAPLANE_CHUNK_SECONDS": "6",
}
VICTIMS = ("worker", "postgres", "weed", "ffmpeg", "worker", "gateway")


def test_recording_is_ready_though_everything_is_killed_once(tmp_path):
    """Worker, database, store, tools and gateway die by SIGKILL in random order and at random times."""
    seed = int(os.environ.get("FAULT_SEED") or time.time_ns() % 1_000_000)
    print(f"FAULT_SEED={seed}")
    chance = random.Random(seed)
    recording = make_recording(tmp_path / "handbook.mp4", PAGES)
    with running_plane(tmp_path / "state", **QUICK) as plane:
        asset_id = plane.json("ingest", str(recording), "--no-wait")["assets"][0]["asset_id"]
        for victim in chance.sample(VICTIMS, len(VICTIMS)):
            time.sleep(chance.uniform(0.5, 3.0))
            kill_one(plane, victim, chance)
        shown = plane.wait_until_ready(asset_id)
        assert shown["status"] == "ready", (shown["error"], plane.logs())
        assert shown["segments"] >= len(PAGES) * 2
        for number in range(1, len(PAGES) + 1):
            assert plane.json("search", f'"page number {number}"')["hits"], number
        rows, keys = catalog_and_store(plane)
        assert rows == keys


def kill_one(plane: Plane, name: str, chance: random.Random) -> None:
    """Kill one process of the plane whose command line has the name, if there is one now."""
    found = [process for process in processes_of(plane) if any(name in part for part in command_line(process)[:5])]
    if found:
        chance.choice(found).kill()


def processes_of(plane: Plane) -> list[psutil.Process]:
    """Return the children of `up`, their children, and the embedded servers, which are children of nobody."""
    below = psutil.Process(plane.process.pid).children(recursive=True)
    servers = [
        process
        for process in psutil.process_iter()
        if any(str(plane.state_dir) in part for part in command_line(process)) or is_postgres(process, plane)
    ]
    return [process for process in {*below, *servers} if process.pid not in (plane.process.pid, os.getpid())]


def is_postgres(process: psutil.Process, plane: Plane) -> bool:
    try:
        return process.name() == "postgres" and Path(process.cwd()).is_relative_to(plane.state_dir)
    except psutil.Error:
        return False


def command_line(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def catalog_and_store(plane: Plane) -> tuple[set[str], set[str]]:
    """Return the keys that have a row and the keys that are in the bucket."""
    running = json.loads((plane.state_dir / "up.json").read_text())
    with psycopg.connect(running["database_url"]) as conn:
        rows = {row[0] for row in conn.execute("SELECT key FROM mediaplane.objects")}
    client = boto3.client(
        "s3",
        endpoint_url=running["s3_endpoint"],
        aws_access_key_id=running["s3_access_key_id"],
        aws_secret_access_key=running["s3_secret_access_key"],
        region_name="us-east-1",
        config=Config(signature_version="s3v4", s3={"addressing_style": "path"}, proxies={}),
    )
    pages = client.get_paginator("list_objects_v2").paginate(Bucket=running["s3_bucket"])
    return rows, {entry["Key"] for page in pages for entry in page.get("Contents", [])}
