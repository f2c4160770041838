"""`clip_bytes`: what a fast clip of ten seconds reads of a recording of an hour ÷ what the clip has.

Of the recording only the chunks around the clip are encoded: the rest of its segments is known by length alone, and
never read. What the original itself would have cost is told on stderr.
"""

import asyncio
import sys
import tempfile
from pathlib import Path

from benchmarks.encoding import LIMITS, SIDES
from benchmarks.figures import report
from benchmarks.ingest import looped
from mediaplane.catalog.playback import HlsSegment
from mediaplane.pipeline.clip_source import make_excerpt
from mediaplane.pipeline.tools.audio import encode_sound
from mediaplane.pipeline.tools.chunk import encode_chunk
from mediaplane.pipeline.tools.cut import cut_fast
from mediaplane.pipeline.tools.plan import plan_chunks
from mediaplane.pipeline.tools.probe import probe
from mediaplane.pipeline.tools.results import Probe
from tests.services.range_server import serve_ranges
from tests.services.segments import rows_of

HOUR_SECONDS, START_MS, END_MS = 3600, 1_803_000, 1_813_000


def run(_runs: int) -> None:
    """Print the figure."""
    video = looped(HOUR_SECONDS)
    with tempfile.TemporaryDirectory() as folder:
        found = asyncio.run(probe(str(video), limits=LIMITS))
        read_bytes, size = asyncio.run(_cut_from_segments(video, found, Path(folder)))
        with serve_ranges(video.parent) as server:
            path = Path(folder) / "plain.mp4"
            asyncio.run(cut_fast(server.address(video), found, path, START_MS, END_MS, limits=LIMITS))
            print(f"out of the original: {server.sent_bytes} bytes for {path.stat().st_size}", file=sys.stderr)
    report("clip_bytes", ours=read_bytes, peer=size, peer_name="bytes of the clip", unit="bytes", runs=1)


async def _cut_from_segments(video: Path, found: Probe, folder: Path) -> tuple[int, int]:
    taken = 0

    async def read(_store: str, key: str) -> bytes:
        nonlocal taken
        data = Path(key).read_bytes()
        taken += len(data)
        return data

    listed = await _encode_around(video, found, folder)
    part = await make_excerpt(
        read, listed, start_ms=START_MS, end_ms=END_MS, directory=folder / "excerpt", limits=LIMITS
    )
    assert part is not None
    start_ms, end_ms = (round(at_ms - part.first_ms) for at_ms in (START_MS, END_MS))
    made = await cut_fast(str(part.path), part.probe, folder / "clip.mp4", start_ms, end_ms, limits=LIMITS)
    return taken, made.size_bytes


async def _encode_around(video: Path, found: Probe, folder: Path) -> list[list[HlsSegment]]:
    frames: list[HlsSegment] = []
    for chunk in await plan_chunks(str(video), found, chunk_seconds=60, limits=LIMITS):
        end_us = chunk.end_us or HOUR_SECONDS * 1_000_000
        if end_us < START_MS * 1000 or chunk.start_us > END_MS * 1000:
            frames.append(HlsSegment("", chunk.index, 0, "", "never read", "never read", end_us - chunk.start_us, 0))
            continue
        out_dir = folder / str(chunk.index)
        out_dir.mkdir()
        result = await encode_chunk(
            str(video), found, chunk, out_dir=out_dir, short_sides=SIDES[:1], frames_per_second=0, ocr=None,
            limits=LIMITS, on_progress=lambda _fraction: None,
        )  # fmt: skip
        frames += rows_of(result.renditions[0], chunk.index, out_dir, store="")
    (folder / "sound").mkdir()
    sound = await encode_sound(
        str(video), found, out_dir=folder / "sound", limits=LIMITS, on_progress=lambda _fraction: None
    )
    return [frames, rows_of(sound.renditions[0], 0, folder / "sound", store="")]
