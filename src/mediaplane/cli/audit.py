"""`audit verify|export`: the record of who did what, and the proof that nobody changed it."""

import asyncio
import csv
import json
import sys
from collections.abc import AsyncIterator, Callable
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any, TextIO

import typer

from mediaplane.access.audit import Verdict
from mediaplane.access.audit import verify as verify_chain
from mediaplane.catalog import audit
from mediaplane.catalog.audit import Head
from mediaplane.cli.output import console, print_json
from mediaplane.cli.session import with_plane
from mediaplane.wiring import Plane

JSON = typer.Option(False, "--json", help="Print one JSON document and nothing else")
# The order of columns; a later release may add some behind.
COLUMNS = (
    "record_id", "at", "subject", "subject_owner", "subject_team", "role", "action", "kind", "thing", "owner", "team",
    "until", "ip", "user_agent", "request_id", "details", "position", "hash",
)  # fmt: skip

app = typer.Typer(
    name="audit", help="The record of who did what: prove it, export it.", no_args_is_help=True, rich_markup_mode=None
)


@app.command()
def verify(
    expect: str = typer.Option("", "--expect", help="A head noted earlier, POSITION:HASH; it must still stand there"),
    as_json: bool = JSON,
) -> None:
    """Check the whole chain: find records that were changed, removed, moved or slipped in. Exit status 1 if any."""
    expected = parse_head(expect) if expect else None

    async def check(plane: Plane) -> Verdict:
        async with plane.pool.connection() as conn:
            return await verify_chain(conn, expected=expected)

    verdict = with_plane(check)
    if as_json:
        print_json(_document(verdict))
    else:
        _print_verdict(verdict)
    if verdict.fault_count:
        raise typer.Exit(1)


@app.command()
def export(
    since: str = typer.Option("", "--since", help="From this day or time on (ISO 8601, UTC where it does not say)"),
    until: str = typer.Option("", "--until", help="Up to this day or time, without it"),
    who: str = typer.Option("", "--who", help="Only of this subject (key:…, jwt:…, db:…) or owner"),
    output_format: str = typer.Option("jsonl", "--format", help="jsonl or csv"),
    output: str = typer.Option("-", "--output", "-o", help="File to write; - is standard output"),
) -> None:
    """Write the records, oldest first, each with its position and hash in the chain."""
    begin, end = parse_moment(since, "--since"), parse_moment(until, "--until")
    if output_format not in ("jsonl", "csv"):
        raise typer.BadParameter("must be jsonl or csv", param_hint="--format")

    async def write(plane: Plane) -> None:
        async with plane.pool.connection() as conn:
            await audit.chain_all(conn)
            records = audit.export(conn, since=begin, until=end, who=who or None)
            if output == "-":
                await _write(records, sys.stdout, output_format)
                return
            with await asyncio.to_thread(open, output, "w", newline="", encoding="utf-8") as file:
                await _write(records, file, output_format)

    with_plane(write)


def parse_head(text: str) -> Head:
    """Return a head as `verify` prints it.

    Raises:
        BadParameter: it is none.
    """
    position, _, digest = text.partition(":")
    try:
        head = Head(int(position), bytes.fromhex(digest))
    except ValueError:
        head = Head(-1, b"")
    if head.position < 0 or len(head.hash) != 32:
        raise typer.BadParameter("must be POSITION:HASH as an earlier verify printed it", param_hint="--expect")
    return head


def parse_moment(text: str, option: str) -> datetime | None:
    """Return a time as ISO 8601 writes it, of UTC where it has no zone; None for an empty text.

    Raises:
        BadParameter: it is none.
    """
    if not text:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter("write 2026-01-31 or 2026-01-31T12:00:00Z", param_hint=option) from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


async def _write(records: AsyncIterator[dict[str, Any]], file: TextIO, output_format: str) -> None:
    put = _csv_writer(file) if output_format == "csv" else _jsonl_writer(file)
    async for record in records:
        put(record)


def _jsonl_writer(file: TextIO) -> Callable[[dict[str, Any]], object]:
    return lambda record: file.write(
        json.dumps({name: record[name] for name in COLUMNS}, ensure_ascii=False, default=_plain) + "\n"
    )


def _csv_writer(file: TextIO) -> Callable[[dict[str, Any]], object]:
    writer = csv.writer(file)
    writer.writerow(COLUMNS)
    return lambda record: writer.writerow([_cell(record[name]) for name in COLUMNS])


def _cell(value: Any) -> Any:
    """Write a value so that a spreadsheet does not take what a client sent, its user agent, for a formula.

    Source: OWASP, "CSV Injection".
    """
    if isinstance(value, dict):
        return json.dumps(value, ensure_ascii=False, sort_keys=True)
    if isinstance(value, datetime):
        return _plain(value)
    return f"'{value}" if isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t", "\r")) else value


def _plain(value: Any) -> str:
    return value.astimezone(UTC).isoformat() if isinstance(value, datetime) else str(value)


def _document(verdict: Verdict) -> dict[str, Any]:
    return {
        "whole": not verdict.fault_count,
        "records": verdict.records,
        "head": _head(verdict.head),
        "faults": [asdict(fault) for fault in verdict.faults],
        "fault_count": verdict.fault_count,
    }


def _head(head: Head) -> str:
    return f"{head.position}:{head.hash.hex()}"


def _print_verdict(verdict: Verdict) -> None:
    for fault in verdict.faults:
        where = ", ".join(
            f"{name} {value}" for name, value in (("position", fault.position), ("record", fault.record_id)) if value
        )
        console.print(f"[red]bad[/red] {where}: {fault.problem}")
    state = f"[red]{verdict.fault_count} faults[/red]" if verdict.fault_count else "[green]whole[/green]"
    console.print(f"{state}: {verdict.records} records; head, to be noted elsewhere:")
    console.print(_head(verdict.head))
