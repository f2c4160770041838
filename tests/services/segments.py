"""Rows of HLS segments that were encoded without a plane."""

from pathlib import Path

from mediaplane.catalog.playback import HlsSegment
from mediaplane.pipeline.tools.results import EncodedRendition


def rows_of(encoded: EncodedRendition, chunk: int, folder: Path, *, store: str = "here") -> list[HlsSegment]:
    """Return the rows of a chunk's rendition whose files lie in a folder of its name; keys are their paths."""
    place = folder / encoded.name
    return [
        HlsSegment(
            encoded.name, chunk, position, store, str(place / segment.file), str(place / encoded.init_file),
            segment.duration_us, segment.size_bytes,
        )
        for position, segment in enumerate(encoded.segments)
    ]  # fmt: skip
