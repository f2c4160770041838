"""Encoded renditions into store and catalog: what the stages `chunk` and `audio` share."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mediaplane.catalog import playback
from mediaplane.catalog.playback import Rendition
from mediaplane.catalog.runs import StageRun
from mediaplane.media.keys import ObjectKey
from mediaplane.pipeline.context import StageContext, Written
from mediaplane.pipeline.tools.results import EncodedRendition
from mediaplane.postgres import Connection


@dataclass(frozen=True, slots=True)
class StoredRendition:
    """A rendition of one chunk whose files are in the store and wait to be committed with the run."""

    encoded: EncodedRendition
    init_key: ObjectKey
    segment_keys: tuple[ObjectKey, ...]
    written: Written

    async def commit(self, conn: Connection, run: StageRun) -> None:
        """Write the rows that playlists are made from."""
        encoded = self.encoded
        await playback.put_rendition(
            conn,
            run.asset_id,
            Rendition(
                name=encoded.name,
                kind="audio" if encoded.width is None else "video",
                width=encoded.width,
                height=encoded.height,
                frame_rate=encoded.frame_rate,
                bandwidth=encoded.bandwidth,
                codecs=encoded.codecs,
                language=encoded.language,
                title=encoded.title,
            ),
        )
        timed = zip(self.segment_keys, encoded.segments, strict=True)
        await playback.replace_segments(
            conn,
            run.asset_id,
            rendition=encoded.name,
            chunk=run.chunk or 0,
            store=self.written.store,
            init_key=self.init_key,
            segments=[(key, segment.duration_us, segment.size_bytes) for key, segment in timed],
        )
        await self.written.settle(conn, run.asset_id)


async def store_renditions(
    context: StageContext, run: StageRun, encoded: Sequence[EncodedRendition], directory: Path
) -> list[StoredRendition]:
    """Put the renditions' files, which lie in `directory`/NAME, into the store."""
    return [await _store(context, run, rendition, directory / rendition.name) for rendition in encoded]


async def _store(context: StageContext, run: StageRun, encoded: EncodedRendition, directory: Path) -> StoredRendition:
    def key(file: str) -> ObjectKey:
        return context.key(run, "segment", rendition=encoded.name, name=file)

    names = [encoded.init_file, *(segment.file for segment in encoded.segments)]
    files = [(key(name), directory / name) for name in names]
    content_type = "audio/mp4" if encoded.width is None else "video/mp4"
    written = await context.write(run, "segment", files, content_type=content_type)
    return StoredRendition(encoded, files[0][0], tuple(key for key, _ in files[1:]), written)
