"""`purge`: remove an asset, or all that an owner has, for good, and print the receipt."""

import asyncio
import logging
import time
from dataclasses import asdict
from typing import Any

import typer

from mediaplane.catalog import assets, audit, purges
from mediaplane.catalog.audit import NewRecord
from mediaplane.catalog.purges import EVERY_TEAM, Purge
from mediaplane.cli.output import console, notes, print_json, size
from mediaplane.cli.session import operator, with_plane
from mediaplane.errors import MediaplaneError
from mediaplane.logs import set_up_logging
from mediaplane.upkeep.deletion import drain_outbox
from mediaplane.wiring import Plane

POLL_SECONDS = 0.3


def purge(
    asset_id: str = typer.Argument("", help="Id of the asset", metavar="[ASSET]"),
    owner: str = typer.Option("", "--owner", help="Everything that this owner has, instead of one asset"),
    team: str = typer.Option("", "--team", help="Of the owner, only what is in this team"),
    wait_seconds: float = typer.Option(600, "--wait", min=0, help="Wait so long for the receipt; 0: only ask for it"),
    as_json: bool = typer.Option(False, "--json", help="Print one JSON document and nothing else"),
) -> None:
    """Remove an asset, or all that an owner has, rows and bytes, and print the receipt; asked again it goes on."""
    if bool(asset_id) == bool(owner):
        raise typer.BadParameter("name an asset, or an owner with --owner", param_hint="ASSET")
    set_up_logging(logging.WARNING)  # what it does is told by the receipt

    async def remove(plane: Plane) -> Purge:
        begun = await _begin(plane, asset_id, owner, team)
        return await _wait(plane, begun, time.monotonic() + wait_seconds) if wait_seconds else begun

    found = with_plane(remove)
    if as_json:
        print_json(asdict(found))
    else:
        _print(found)
    if wait_seconds and found.state != "done":
        raise MediaplaneError(f"the purge {found.purge_id} is not done yet: {found.problem}; the same command goes on")


async def _begin(plane: Plane, asset_id: str, owner: str, team: str) -> Purge:
    requested_by = {"subject": operator()}
    async with plane.pool.connection() as conn, conn.transaction():
        if asset_id:
            asset = await assets.get(conn, asset_id)
            owner, team = asset.owner, asset.team
        asked, is_new = await purges.request(
            conn, owner=owner, team=team or EVERY_TEAM, asset_id=asset_id or None, requested_by=requested_by
        )
        if is_new:
            await audit.add(conn, [_record(asked)])
    return asked


def _record(asked: Purge) -> NewRecord:
    return NewRecord(
        subject=operator(),
        action="purge.requested",
        kind="purge",
        thing=asked.purge_id,
        owner=asked.owner,
        team=asked.team or None,
        details={"asset_id": asked.asset_id},
    )


async def _wait(plane: Plane, begun: Purge, until: float) -> Purge:
    """Carry the purge out here, beside any worker, so that it ends without one, too."""
    stores = {name: opened.store for name, opened in plane.stores.items()}
    with notes.status("removing …"):
        while True:
            begun = await plane.purging.carry_out(begun)
            if begun.state == "done" or time.monotonic() > until:
                return begun
            await drain_outbox(plane.pool, stores)
            await asyncio.sleep(POLL_SECONDS)


def _print(found: Purge) -> None:
    what = found.asset_id or f"all of {found.owner}"
    if found.state != "done":
        console.print(f"purge {found.purge_id} of {what}: {found.state}; {found.problem or 'a worker carries it out'}")
        return
    rows: dict[str, Any] = found.rows_deleted
    console.print(f"purge {found.purge_id} of {what} is done: {found.objects} objects, {size(found.size_bytes)}")
    console.print("rows: " + (", ".join(f"{count} {table}" for table, count in sorted(rows.items())) or "none"))
    if found.prefixes:
        console.print(f"listed and found empty in {', '.join(found.stores)}: {', '.join(found.prefixes)}")
    if found.unproven:
        console.print(f"{found.unproven} keys cannot be looked up: the store's keys may not list its bucket")
    if found.watched_until:
        console.print(f"what a client could still upload is removed once more at {found.watched_until:%Y-%m-%d %H:%M}")
    console.print(f"receipt {found.receipt_digest}")
