"""Stage `text`: what needs the text of all chunks: lines joined where chunks meet, leftovers of earlier ones gone."""

from pathlib import Path

from mediaplane.catalog import objects, runs, segments
from mediaplane.jobs.stage import Outcome, Work
from mediaplane.pipeline.assemble import READ
from mediaplane.pipeline.context import StageContext
from mediaplane.pipeline.merging import Row, find_joins
from mediaplane.pipeline.tools.results import Chunk
from mediaplane.postgres import Connection


async def run(context: StageContext, work: Work, _directory: Path) -> Outcome:
    """Join the text of the chunks that were read; where none was, remove what had been read before."""
    asset_id = work.run.asset_id
    chunks: int = work.run.params["chunks"]  # 0 where nobody reads
    async with context.pool.connection() as conn:
        past = [entry for entry in await runs.of_asset(conn, asset_id) if not entry.subject]
    plan = next(entry for entry in past if entry.stage == "plan")
    planned = [Chunk.from_json(chunk) for chunk in (plan.outputs or {})["chunks"]]
    readings = [entry.run_id for entry in past if entry.stage == "ocr" and (entry.chunk or 0) < chunks]

    async def commit(conn: Connection) -> None:
        await segments.drop_chunks(conn, asset_id, from_chunk=chunks)
        await objects.delete_superseded(conn, asset_id, roles=READ, run_ids=readings)
        await _join(conn, asset_id, [chunk.start_us // 1000 for chunk in planned[1:]])

    return Outcome(outputs={"chunks": chunks}, commit=commit)


async def _join(conn: Connection, asset_id: str, boundaries_ms: list[int]) -> None:
    """Make one segment of text that stays on the screen where two chunks meet."""
    rows = [
        Row(
            id=segment.segment_id,
            chunk=segment.chunk,
            t_start_ms=segment.t_start_ms,
            t_end_ms=segment.t_end_ms,
            text=segment.text,
            box=segment.box,
            confidence=segment.confidence,
        )
        for segment in await segments.of_asset(conn, asset_id)
        if segment.source == "ocr" and segment.box
    ]
    await segments.apply_joins(conn, find_joins(rows, boundaries_ms))
