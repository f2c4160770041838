"""Options that several `mediaplane s3` commands share, and how their values are read."""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import typer
from typer.core import TyperCommand

from mediaplane.errors import InvalidPlace
from mediaplane.storage.bulk.comparing import Compare
from mediaplane.storage.bulk.filters import Filter, read_filter
from mediaplane.storage.bulk.places import Endpoints, find_endpoints, source_settings
from mediaplane.storage.bulk.plan import Choice
from mediaplane.storage.bulk.work import Options

_FILTERS = "mediaplane.filters"
_UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}

JSON = typer.Option(False, "--json", help="Print one JSON document and nothing else")
EVENTS = typer.Option(False, "--json", help="Print events as JSON, one a line; the last one is the summary")
ENDPOINT_URL = typer.Option("", "--endpoint-url", help="Another endpoint than the settings'")
SOURCE_ENDPOINT_URL = typer.Option(
    "",
    "--source-endpoint-url",
    help="Endpoint of the source of a copy between two; its keys are SOURCE_S3_ACCESS_KEY_ID and so on",
)
RECURSIVE = typer.Option(False, "--recursive", "-r", help="All that lies below a directory or prefix")
INCLUDE = typer.Option([], "--include", help="Take only, or again, what matches; the last pattern that matches decides")
EXCLUDE = typer.Option([], "--exclude", help="Leave out what matches; `*` also matches /")
DRY_RUN = typer.Option(False, "--dry-run", "-n", help="Say what would be done, and do nothing")
LITERAL = typer.Option(False, "--literal", help="`*` and `?` in names are themselves")
LINKS = typer.Option(True, "--follow-links/--no-follow-links", help="Symbolic links stand for what they lead to")
WORKERS = typer.Option(0, "--workers", min=0, max=1024, help="Requests at once; 0: it finds its own level")
BWLIMIT = typer.Option("", "--bwlimit", help="Bytes a second at most, e.g. 512K, 10M (MiB)")
RETRIES = typer.Option(5, "--retries", min=0, max=100, help="How often one request is tried again")
PART_SIZE = typer.Option("", "--part-size", help="Size of the parts of large objects, e.g. 64M; chosen where none")
VERIFY = typer.Option(True, "--verify/--no-verify", help="Compare checksums of all that is sent and received")
STORAGE_CLASS = typer.Option("", "--storage-class", help="Class of what is written, e.g. STANDARD_IA")
CONTENT_TYPE = typer.Option("", "--content-type", help="Type of what is written; by the name where none")
METADATA = typer.Option([], "--metadata", help="NAME=VALUE kept with what is written; may be given again")
SIZE_ONLY = typer.Option(False, "--size-only", help="What has the same size is whole")
EXACT = typer.Option(False, "--exact", help="Compare contents by checksums, where sizes are equal")
FORCE = typer.Option(False, "--force", "-f", help="Send again what is whole")
NO_CLOBBER = typer.Option(False, "--no-clobber", help="Leave everything alone that is there")


class FilteringCommand(TyperCommand):
    """Keeps the order of `--include` and `--exclude`, which decides and which two lists have lost."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Note the patterns on the way."""
        ctx.meta[_FILTERS] = list(_patterns_of(args))
        return super().parse_args(ctx, args)


def _patterns_of(args: list[str]) -> Iterator[tuple[str, str]]:
    waiting = iter(args)
    for argument in waiting:
        if argument == "--":
            return
        option, given, value = argument.partition("=")
        if option in ("--include", "--exclude"):
            yield option[2:], value if given else next(waiting, "")


def filter_of(ctx: Any) -> Filter:
    """Return the filter that a command was given."""
    return read_filter(ctx.meta.get(_FILTERS, ()))


def choice_of(ctx: Any) -> Choice:
    """Return what takes part, by the options of a command.

    Raises:
        BadParameter: two of them exclude each other.
    """
    asked = ctx.params
    ways = {"size_only": Compare.SIZE, "exact": Compare.CONTENT, "force": Compare.NEVER, "no_clobber": Compare.ABSENT}
    chosen = [way for name, way in ways.items() if asked.get(name)]
    if len(chosen) > 1:
        raise typer.BadParameter("--size-only, --exact, --force and --no-clobber exclude each other")
    return Choice(
        filter_of(ctx),
        chosen[0] if chosen else Compare.TIME,
        delete=bool(asked.get("delete")),
        follow_links=bool(asked.get("follow_links", True)),
        dry_run=bool(asked.get("dry_run")),
    )


def options_of(ctx: Any) -> Options:
    """Return how work is done, by the options of a command.

    Raises:
        BadParameter: one of them cannot be read.
    """
    asked = ctx.params
    return Options(
        verify=bool(asked.get("verify", True)),
        workers=int(asked.get("workers") or 0),
        bytes_per_second=read_size(asked.get("bwlimit") or "", "--bwlimit"),
        retries=int(asked.get("retries", 5)),
        part_bytes=read_size(asked.get("part_size") or "", "--part-size"),
        content_type=asked.get("content_type") or "",
        storage_class=asked.get("storage_class") or "",
        metadata=dict(_read_pair(text) for text in asked.get("metadata") or ()),
    )


def endpoints_of(ctx: Any) -> Endpoints:
    """Return the endpoints that a command works on."""
    return find_endpoints(url=ctx.params.get("endpoint_url") or "")


@contextmanager
def usage_errors() -> Iterator[None]:
    """Make a place that cannot be meant wrong usage: exit status 2."""
    try:
        yield
    except InvalidPlace as error:
        raise typer.BadParameter(error.message) from error


def source_endpoints_of(ctx: Any) -> Endpoints | None:
    """Return the endpoints of the source where it has its own: by option, or by `SOURCE_S3_…` variables."""
    settings, url = source_settings(os.environ), ctx.params.get("source_endpoint_url") or ""
    return find_endpoints(settings, url=url) if settings or url else None


def read_size(text: str, option: str) -> int:
    """Return bytes from `10M`, `1.5G`, `512k`; units are binary; 0 for an empty text.

    Raises:
        BadParameter: it is none.
    """
    if not text:
        return 0
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([KMGT]?)(?:I?B)?(?:/S)?", text.upper())
    if not found or not float(found[1]):
        raise typer.BadParameter(f"must be a size like 512K, 10M or 1.5G, not {text!r}", param_hint=option)
    return int(float(found[1]) * _UNITS[found[2]])


def read_duration(text: str, option: str) -> timedelta:
    """Return a time like `90` (seconds), `15m`, `12h`, `7d`.

    Raises:
        BadParameter: it is none.
    """
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([smhdw]?)", text.lower())
    if not found:
        raise typer.BadParameter(f"must be a time like 90s, 15m, 12h or 7d, not {text!r}", param_hint=option)
    return timedelta(seconds=float(found[1]) * _SECONDS[found[2] or "s"])


def _read_pair(text: str) -> tuple[str, str]:
    name, given, value = text.partition("=")
    if not given or not re.fullmatch(r"[A-Za-z0-9_-]+", name) or not value.isprintable():
        raise typer.BadParameter(f"must be NAME=VALUE, not {text!r}", param_hint="--metadata")
    return name.lower(), value
