"""What `show` draws, read from catalog and stores: segments, stage timings, poster, small pictures, waveform."""

import io
from collections.abc import Sequence
from typing import Any

from mediaplane.catalog import objects, runs, segments, sprites
from mediaplane.catalog.objects import Object
from mediaplane.catalog.sprites import Sheet
from mediaplane.cli.page import Material, Still, Timing
from mediaplane.cli.timeline import Span
from mediaplane.errors import ObjectNotFound
from mediaplane.media.keys import ObjectKey
from mediaplane.wiring import Plane

STILLS = 16
STILL_QUALITY = 80


async def read_spans(plane: Plane, asset_id: str) -> list[Span]:
    """Return the asset's segments of text by time."""
    async with plane.pool.connection() as conn:
        found = await segments.of_asset(conn, asset_id)
    return [Span(row.t_start_ms, row.t_end_ms, row.text) for row in found]


async def read_material(plane: Plane, document: dict[str, Any]) -> Material:
    """Return all that the page of an asset shows; `document` is what `show --json` says."""
    asset_id = document["asset_id"]
    async with plane.pool.connection() as conn:
        stages = await runs.of_asset(conn, asset_id)
        sheets = await sprites.of_asset(conn, asset_id)
        pictures = {
            role: next(iter(await objects.of_asset(conn, asset_id, role)), None) for role in ("poster", "waveform")
        }
    timings = [
        Timing(
            stage=run.stage,
            chunk=run.chunk,
            state=run.state,
            created_at=run.created_at,
            started_at=run.started_at,
            finished_at=run.finished_at,
            worker=run.worker,
            error=run.error_message,
            with_other="with_run" in (run.outputs or {}),
        )
        for run in stages
    ]
    return Material(
        asset=document,
        spans=await read_spans(plane, asset_id),
        timings=timings,
        poster=await _read_object(plane, pictures["poster"]),
        stills=await _read_stills(plane, sheets),
        waveform=await _read_object(plane, pictures["waveform"]),
    )


async def _read_object(plane: Plane, row: Object | None) -> bytes | None:
    if row is None or row.state != "stored":
        return None
    return await _read(plane, row.store, row.key)


async def _read(plane: Plane, store: str, key: str) -> bytes | None:
    """Return the bytes; None where they went meanwhile: a page without one picture is still a page."""
    try:
        return b"".join([block async for block in plane.stores[store].store.read(ObjectKey(key))])
    except ObjectNotFound:
        return None


async def _read_stills(plane: Plane, sheets: Sequence[Sheet]) -> list[Still]:
    """Return a few small pictures, evenly over the recording; each sheet that has one is read once."""
    places = [(sheet, number) for sheet in sheets for number in range(sheet.tiles)]
    count = min(STILLS, len(places))
    chosen = [places[position * len(places) // count] for position in range(count)]
    found: list[Still] = []
    for sheet in dict.fromkeys(sheet for sheet, _ in chosen):
        data = await _read(plane, sheet.store, sheet.key)
        if data is not None:
            found += _cut_out(data, sheet, [number for other, number in chosen if other == sheet])
    return found


def _cut_out(data: bytes, sheet: Sheet, numbers: Sequence[int]) -> list[Still]:
    from PIL import Image  # other commands start without it

    stills = []
    with Image.open(io.BytesIO(data), formats=["JPEG"]) as picture:
        for number in numbers:
            row, column = divmod(number, sheet.columns)
            x, y = column * sheet.tile_width, row * sheet.tile_height
            out = io.BytesIO()
            tile = picture.crop((x, y, x + sheet.tile_width, y + sheet.tile_height))
            tile.save(out, "JPEG", quality=STILL_QUALITY)
            stills.append(Still(sheet.first_ms + number * sheet.tile_ms, out.getvalue()))
    return stills
