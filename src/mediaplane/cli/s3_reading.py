"""`mediaplane s3 ls | du | cat | presign`: what only looks."""

import json
import sys
from collections.abc import Iterable, Iterator
from datetime import UTC
from typing import Any

import typer

from mediaplane.cli import s3_options as options
from mediaplane.cli.output import print_json, print_table, size
from mediaplane.cli.s3_events import printable
from mediaplane.errors import InvalidPlace
from mediaplane.storage.bulk import commands
from mediaplane.storage.bulk.counting import Share
from mediaplane.storage.bulk.places import SCHEME, STREAM, Endpoints, read_bucket
from mediaplane.storage.bulk.work import Found

EXPIRES = "1h"
LONGEST_DAYS = 7  # Source: Amazon S3 User Guide, "Sharing objects with presigned URLs"


def ls(
    ctx: typer.Context,
    place: str = typer.Argument(
        SCHEME, help="s3:// lists buckets, s3://bucket/prefix what lies below", metavar="PLACE"
    ),
    recursive: bool = typer.Option(False, "--recursive", "-r", help="All objects, not one level and its folders"),
    human: bool = typer.Option(False, "--human", "-H", help="Sizes as people read them"),
    endpoint_url: str = options.ENDPOINT_URL,
    as_json: bool = options.JSON,
) -> None:
    """List buckets, folders and objects; a prefix need not end at a /."""
    with options.usage_errors():
        found = options.endpoints_of(ctx)
        if place == SCHEME:
            _print_buckets(commands.buckets(endpoints=found), as_json=as_json)
            return
        read_bucket(place)
        entries = commands.ls(place, recursive=recursive, endpoints=found)
        if as_json:
            _write_document("entries", (_document(entry) for entry in entries))
            return
        for entry in entries:
            sys.stdout.write(_line(entry, human=human))


def du(
    ctx: typer.Context,
    place: str = typer.Argument(help="s3://bucket/prefix", metavar="PLACE"),
    depth: int = typer.Option(0, "--depth", min=0, max=32, help="Also each folder down to this depth"),
    human: bool = typer.Option(False, "--human", "-H", help="Sizes as people read them"),
    endpoint_url: str = options.ENDPOINT_URL,
    as_json: bool = options.JSON,
) -> None:
    """Count objects and bytes below a prefix: in all, by storage class, by folder."""
    with options.usage_errors():
        used = commands.usage(place, depth=depth, endpoints=options.endpoints_of(ctx))
    if as_json:
        print_json(
            {
                "place": place,
                **_share(used.total),
                "classes": {name: _share(share) for name, share in sorted(used.classes.items())},
                "folders": {name: _share(share) for name, share in used.folders.items()},
            }
        )
        return
    rows = [(printable(name), share) for name, share in used.folders.items()]
    rows += [(f"class {name}", share) for name, share in sorted(used.classes.items())]
    rows.append((printable(place), used.total))
    cells = [(size(share.size_bytes) if human else share.size_bytes, share.objects, name) for name, share in rows]
    print_table(("bytes", "objects", "place"), cells, numeric=("bytes", "objects"))


def cat(
    ctx: typer.Context,
    places: list[str] = typer.Argument(help="s3://bucket/key, or patterns", metavar="PLACE"),
    byte_range: str = typer.Option("", "--range", help="First and last byte, e.g. 0-99, 100-, or -100: the last 100"),
    endpoint_url: str = options.ENDPOINT_URL,
) -> None:
    """Write the bytes of objects to standard output, one after the other."""
    with options.usage_errors():
        start, end = _read_range(byte_range)
        write_objects(places, options.endpoints_of(ctx), start=start, end=end)


def presign(
    ctx: typer.Context,
    places: list[str] = typer.Argument(help="s3://bucket/key; - reads one a line from standard input", metavar="PLACE"),
    method: str = typer.Option("GET", "--method", help="GET, HEAD or PUT"),
    expires: str = typer.Option(EXPIRES, "--expires", help="How long the URLs live, e.g. 15m, 12h, 7d (the longest)"),
    endpoint_url: str = options.ENDPOINT_URL,
    as_json: bool = options.JSON,
) -> None:
    """Print a URL for each object that works without keys until it expires."""
    life = options.read_duration(expires, "--expires")
    if not 1 <= life.total_seconds() <= LONGEST_DAYS * 86400:
        raise typer.BadParameter(f"must be from 1 s to {LONGEST_DAYS} days", param_hint="--expires")
    with options.usage_errors():
        named = list(_places(places)) if as_json else _places(places)
        urls = commands.presign(named, method=method.upper(), expires=life, endpoints=options.endpoints_of(ctx))
        if as_json:
            pairs = zip(named, urls, strict=True)
            print_json({"urls": [{"place": place, "url": url} for place, url in pairs]})
            return
        for url in urls:
            sys.stdout.write(f"{url}\n")


def write_objects(places: Iterable[str], endpoints: Endpoints, *, start: int = 0, end: int | None = None) -> None:
    """Write objects to standard output."""
    for place in places:
        if place == STREAM:
            raise InvalidPlace("standard input is no object: name s3://bucket/key")
        for block in commands.read(place, start=start, end=end, endpoints=endpoints):
            sys.stdout.buffer.write(block)
    sys.stdout.buffer.flush()


def _places(places: Iterable[str]) -> Iterator[str]:
    for place in places:
        if place == STREAM:
            yield from (line.rstrip("\r\n") for line in sys.stdin if line.strip())
        else:
            yield place


def _read_range(text: str) -> tuple[int, int | None]:
    """Return start, negative from the end, and end (exclusive)."""
    first, dash, last = text.partition("-")
    if not text:
        return 0, None
    if not dash or not (first or last) or not (first + last).isdigit() or (first and last and int(last) < int(first)):
        raise typer.BadParameter(f"must be like 0-99, 100- or -100, not {text!r}", param_hint="--range")
    if not first:
        return -int(last), None
    return int(first), int(last) + 1 if last else None


def _print_buckets(names: list[str], *, as_json: bool) -> None:
    if as_json:
        print_json({"buckets": names})
    else:
        sys.stdout.writelines(f"{SCHEME}{name}\n" for name in names)


def _write_document(name: str, entries: Iterable[dict[str, Any]]) -> None:
    """Print one document whose list may be too long for memory."""
    sys.stdout.write(f'{{"{name}": [')
    separator = ""
    for entry in entries:
        sys.stdout.write(f"{separator}{json.dumps(entry)}")
        separator = ",\n"
    sys.stdout.write("]}\n")


def _document(entry: Found | str) -> dict[str, Any]:
    if isinstance(entry, str):
        return {"folder": entry}
    return {
        "key": entry.key,
        "size_bytes": entry.size_bytes,
        "etag": entry.etag.strip('"'),
        "modified_at": entry.modified_at.isoformat(),
        "storage_class": entry.storage_class or "STANDARD",
    }


def _line(entry: Found | str, *, human: bool) -> str:
    if isinstance(entry, str):
        return f"{'':<20} {'folder':>14}  {printable(entry)}\n"
    amount = size(entry.size_bytes) if human else str(entry.size_bytes)
    return f"{entry.modified_at.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ} {amount:>14}  {printable(entry.key)}\n"


def _share(share: Share) -> dict[str, int]:
    return {"objects": share.objects, "size_bytes": share.size_bytes}
