"""A chunk read once more on its own: the same as when it was encoded, without encoding, and frames are kept once."""

import asyncio
from pathlib import Path

import pytest

from mediaplane.pipeline.tools.child import Limits
from mediaplane.pipeline.tools.chunk import encode_chunk
from mediaplane.pipeline.tools.plan import plan_chunks
from mediaplane.pipeline.tools.probe import probe
from mediaplane.pipeline.tools.reading import read_chunk
from mediaplane.pipeline.tools.results import Chunk, ChunkResult, OcrOptions, Probe, ReadingResult
from tests.services.recordings import make_recording

LIMITS = Limits(seconds=600, address_space_mb=8192, output_mb=4096)
OCR = OcrOptions("rapidocr")
PAGES = [(3.0, ["harbour lights went on"]), (5.0, ["harbour lights went on", "twelve ferries left"])]


@pytest.fixture(scope="module")
def source(tmp_path_factory) -> tuple[str, Probe, list[Chunk]]:
    """A recording in two chunks, the second page within the second."""
    path = make_recording(tmp_path_factory.mktemp("source") / "a.mp4", PAGES, sound=False)
    found = asyncio.run(probe(str(path), limits=LIMITS))
    chunks = asyncio.run(plan_chunks(str(path), found, chunk_seconds=4, limits=LIMITS))
    assert len(chunks) == 2
    return str(path), found, chunks


def encode(source: tuple[str, Probe, list[Chunk]], chunk: Chunk, folder: Path) -> ChunkResult:
    folder.mkdir()
    url, found, _ = source
    return asyncio.run(
        encode_chunk(
            url, found, chunk, out_dir=folder, short_sides=(360,), frames_per_second=OCR.frames_per_second, ocr=OCR,
            limits=LIMITS, on_progress=lambda _fraction: None,
        )
    )  # fmt: skip


def read(source: tuple[str, Probe, list[Chunk]], chunk: Chunk, folder: Path, known_ms: list[int]) -> ReadingResult:
    folder.mkdir()
    url, found, _ = source
    return asyncio.run(
        read_chunk(
            url, found, chunk, out_dir=folder, ocr=OCR, known_ms=known_ms, limits=LIMITS,
            on_progress=lambda _fraction: None,
        )
    )  # fmt: skip


def test_reading_alone_gives_what_encoding_gave(source, tmp_path):
    """Same lines at the same times, same frames to the byte; nothing else is written."""
    for chunk in source[2]:
        encoded = encode(source, chunk, tmp_path / f"encoded{chunk.index}")
        alone = read(source, chunk, tmp_path / f"read{chunk.index}", [])
        assert [line.to_json() for line in alone.lines] == [line.to_json() for line in encoded.lines]
        assert alone.frames == alone.written == encoded.frames != []
        for at_ms in encoded.frames:
            pictures = [tmp_path / f"{way}{chunk.index}" / "frames" / f"{at_ms}.jpg" for way in ("encoded", "read")]
            assert pictures[0].read_bytes() == pictures[1].read_bytes()
        assert {path.name for path in (tmp_path / f"read{chunk.index}").iterdir()} == {"frames"}


def test_frames_that_are_stored_are_not_written_again(source, tmp_path):
    """Known ones are told of and left out."""
    chunk = source[2][0]
    first = read(source, chunk, tmp_path / "first", [])
    again = read(source, chunk, tmp_path / "again", first.frames)
    assert (again.frames, again.written) == (first.frames, [])
    assert list((tmp_path / "again" / "frames").iterdir()) == []
