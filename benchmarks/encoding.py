"""The pipeline's own tools on one file, without servers around them: what a worker does for an ingest."""

import asyncio
import logging
from pathlib import Path

from mediaplane.logs import set_up_logging
from mediaplane.pipeline.tools.audio import encode_sound
from mediaplane.pipeline.tools.child import Limits
from mediaplane.pipeline.tools.chunk import encode_chunk
from mediaplane.pipeline.tools.lines import Line
from mediaplane.pipeline.tools.plan import plan_chunks
from mediaplane.pipeline.tools.probe import probe
from mediaplane.pipeline.tools.results import OcrOptions

OCR = OcrOptions("rapidocr")
LIMITS = Limits(seconds=7200, address_space_mb=8192, output_mb=65536)
SIDES = (1080, 720, 360)


def encode_and_read(video: Path, folder: Path, *, ocr: OcrOptions | None = OCR) -> list[Line]:
    """Probe, plan, encode and read `video` into `folder`, chunk after chunk; return its lines."""
    set_up_logging(logging.WARNING)
    return asyncio.run(_encode_and_read(video, folder, ocr))


async def _encode_and_read(video: Path, folder: Path, ocr: OcrOptions | None) -> list[Line]:
    found = await probe(str(video), limits=LIMITS)
    lines: list[Line] = []
    for chunk in await plan_chunks(str(video), found, chunk_seconds=60, limits=LIMITS):
        out_dir = folder / str(chunk.index)
        out_dir.mkdir()
        result = await encode_chunk(
            str(video), found, chunk, out_dir=out_dir, short_sides=SIDES, frames_per_second=10.0, ocr=ocr,
            limits=LIMITS, on_progress=lambda _fraction: None,
        )  # fmt: skip
        lines += result.lines
    if found.audio:
        (folder / "sound").mkdir()
        await encode_sound(
            str(video), found, out_dir=folder / "sound", limits=LIMITS, on_progress=lambda _fraction: None
        )
    return lines
