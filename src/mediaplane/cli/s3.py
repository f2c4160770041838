"""`mediaplane s3`: objects in and out of buckets, many at a time, by `s3://` names and local paths.

Exit status 0: all is done; 1: something failed, all else is done; 2: wrong usage. `cp`, `sync`, `rm` and `run` with
`--json` print a stream of events, one JSON document a line, the summary last; `ls` and `du` print one document.
"""

import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

import typer

from mediaplane.cli import s3_options as options
from mediaplane.cli import s3_reading
from mediaplane.cli.later import LateGroup, add_later
from mediaplane.cli.s3_events import Events
from mediaplane.cli.s3_script import Makers, read_script
from mediaplane.errors import InvalidPlace
from mediaplane.storage.bulk import commands
from mediaplane.storage.bulk.places import STREAM, any_on_s3
from mediaplane.storage.bulk.removal import remove_incomplete
from mediaplane.storage.bulk.requests import CopyRequest, RemoveRequest, Request
from mediaplane.storage.bulk.work import Summary

if TYPE_CHECKING:
    from mediaplane.storage.bulk.crew import Crew

app = typer.Typer(
    cls=LateGroup,
    help="Move, compare, count and remove objects: s3://bucket/key and local paths.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def cp(
    ctx: typer.Context,
    sources: list[str] = typer.Argument(
        help="Files, directories, s3://bucket/key, patterns ('s3://b/d/*.mp4'), -", metavar="SOURCE"
    ),
    target: str = typer.Argument(help="File, directory, s3://bucket/key, s3://bucket/folder/, -", metavar="TARGET"),
    recursive: bool = options.RECURSIVE,
    include: list[str] = options.INCLUDE,
    exclude: list[str] = options.EXCLUDE,
    size_only: bool = options.SIZE_ONLY,
    exact: bool = options.EXACT,
    force: bool = options.FORCE,
    no_clobber: bool = options.NO_CLOBBER,
    literal: bool = options.LITERAL,
    follow_links: bool = options.LINKS,
    dry_run: bool = options.DRY_RUN,
    workers: int = options.WORKERS,
    bwlimit: str = options.BWLIMIT,
    retries: int = options.RETRIES,
    part_size: str = options.PART_SIZE,
    verify: bool = options.VERIFY,
    storage_class: str = options.STORAGE_CLASS,
    content_type: str = options.CONTENT_TYPE,
    metadata: list[str] = options.METADATA,
    endpoint_url: str = options.ENDPOINT_URL,
    source_endpoint_url: str = options.SOURCE_ENDPOINT_URL,
    as_json: bool = options.EVENTS,
) -> None:
    """Copy files and objects; what is whole at the target is not sent again."""
    if STREAM in (*sources, target):
        _copy_stream(ctx, sources, target)
    else:
        _run(ctx, lambda: [copy_request(ctx)])


def sync(
    ctx: typer.Context,
    source: str = typer.Argument(help="Directory, or s3://bucket/prefix", metavar="SOURCE"),
    target: str = typer.Argument(help="Directory, or s3://bucket/prefix", metavar="TARGET"),
    delete: bool = typer.Option(False, "--delete", help="Remove at the target what the source does not have"),
    include: list[str] = options.INCLUDE,
    exclude: list[str] = options.EXCLUDE,
    size_only: bool = options.SIZE_ONLY,
    exact: bool = options.EXACT,
    force: bool = options.FORCE,
    no_clobber: bool = options.NO_CLOBBER,
    follow_links: bool = options.LINKS,
    dry_run: bool = options.DRY_RUN,
    workers: int = options.WORKERS,
    bwlimit: str = options.BWLIMIT,
    retries: int = options.RETRIES,
    part_size: str = options.PART_SIZE,
    verify: bool = options.VERIFY,
    storage_class: str = options.STORAGE_CLASS,
    content_type: str = options.CONTENT_TYPE,
    metadata: list[str] = options.METADATA,
    endpoint_url: str = options.ENDPOINT_URL,
    source_endpoint_url: str = options.SOURCE_ENDPOINT_URL,
    as_json: bool = options.EVENTS,
) -> None:
    """Bring a directory or prefix in step with another; what lies below it, without its own name."""
    _run(ctx, lambda: [sync_request(ctx)])


def rm(
    ctx: typer.Context,
    places: list[str] = typer.Argument(
        help="s3://bucket/key, patterns, files, prefixes with --recursive", metavar="PLACE"
    ),
    recursive: bool = options.RECURSIVE,
    include: list[str] = options.INCLUDE,
    exclude: list[str] = options.EXCLUDE,
    literal: bool = options.LITERAL,
    incomplete: bool = typer.Option(
        False, "--incomplete", help="Abort multipart uploads, and remove temporary files, that were cut off"
    ),
    older_than: str = typer.Option(
        "0", "--older-than", help="With --incomplete: spare what was begun later, e.g. 12h, 7d"
    ),
    dry_run: bool = options.DRY_RUN,
    workers: int = options.WORKERS,
    retries: int = options.RETRIES,
    endpoint_url: str = options.ENDPOINT_URL,
    as_json: bool = options.EVENTS,
) -> None:
    """Remove objects and files; with --incomplete what cut-off transfers left where no listing shows it."""
    if not incomplete:
        _run(ctx, lambda: [remove_request(ctx)], removes=True)
        return
    age = options.read_duration(older_than, "--older-than")
    _watch(
        ctx,
        lambda tell: remove_incomplete(
            tuple(places),
            older_than=age,
            dry_run=dry_run,
            report=tell,
            endpoints=options.endpoints_of(ctx) if any_on_s3(places) else None,
        ),
        removes=True,
    )


def run(
    ctx: typer.Context,
    script: str = typer.Argument(
        STREAM, help="File with one command a line: cp, sync or rm; - is standard input", metavar="SCRIPT"
    ),
    dry_run: bool = options.DRY_RUN,
    workers: int = options.WORKERS,
    bwlimit: str = options.BWLIMIT,
    retries: int = options.RETRIES,
    part_size: str = options.PART_SIZE,
    verify: bool = options.VERIFY,
    endpoint_url: str = options.ENDPOINT_URL,
    source_endpoint_url: str = options.SOURCE_ENDPOINT_URL,
    as_json: bool = options.EVENTS,
) -> None:
    """Run many commands as one transfer: all at once, in no order; lines are quoted as in a shell."""
    makers: Makers = {"cp": copy_request, "sync": sync_request, "rm": remove_request}
    _run(ctx, lambda: read_script(script, ctx, makers))


def copy_request(ctx: Any) -> CopyRequest:
    """Return what a `cp` asks for."""
    asked = ctx.params
    return CopyRequest(
        tuple(asked["sources"]),
        asked["target"],
        recursive=asked["recursive"],
        literal=asked["literal"],
        choice=options.choice_of(ctx),
        options=options.options_of(ctx),
    )


def sync_request(ctx: Any) -> CopyRequest:
    """Return what a `sync` asks for."""
    asked = ctx.params
    return CopyRequest(
        (asked["source"],), asked["target"], sync=True, choice=options.choice_of(ctx), options=options.options_of(ctx)
    )


def remove_request(ctx: Any) -> RemoveRequest:
    """Return what an `rm` asks for."""
    asked = ctx.params
    return RemoveRequest(
        tuple(asked["places"]),
        recursive=asked["recursive"],
        literal=asked["literal"],
        choice=options.choice_of(ctx),
        options=options.options_of(ctx),
    )


def _run(ctx: typer.Context, make: Callable[[], list[Request]], *, removes: bool = False) -> None:
    with _crew_of(ctx, removes=removes) as crew:  # before progress is drawn, by a thread

        def work(tell: Any) -> Summary:
            found, source = options.endpoints_of(ctx), options.source_endpoints_of(ctx)
            return commands.carry_out(make(), None, tell, endpoints=found, source_endpoints=source, crew=crew)

        _watch(ctx, work, removes=removes)


def _crew_of(ctx: typer.Context, *, removes: bool) -> "AbstractContextManager[Crew | None]":
    if removes or ctx.params["dry_run"]:
        return nullcontext()
    from mediaplane.storage.bulk.engine import new_crew

    return new_crew()


def _watch(ctx: typer.Context, work: Callable[[Any], Summary], *, removes: bool = False) -> None:
    """Do the work with its progress shown, print the summary, and end with 1 if anything failed."""
    events = Events(as_json=ctx.params["as_json"], removes=removes)
    with options.usage_errors(), events.watched():
        summary = work(events.tell)
    events.finish(summary)
    if summary.failed:
        raise typer.Exit(1)


def _copy_stream(ctx: typer.Context, sources: list[str], target: str) -> None:
    """Copy from standard input, or to standard output."""
    with options.usage_errors():
        if target == STREAM:
            s3_reading.write_objects(sources, options.endpoints_of(ctx))
            return
        if sources != [STREAM]:
            raise InvalidPlace("standard input is the only source of its command: `cp - s3://bucket/key`")
    asked = options.options_of(ctx)
    _watch(
        ctx,
        lambda tell: commands.upload_stream(
            sys.stdin.buffer, target, options=asked, report=tell, endpoints=options.endpoints_of(ctx)
        ),
    )


FILTERING = (cp, sync, rm)
OTHERS = (s3_reading.ls, s3_reading.du, s3_reading.cat, s3_reading.presign, run)
for filtering in FILTERING:
    app.command(cls=options.FilteringCommand)(filtering)
for command in OTHERS:
    app.command()(command)
add_later(
    app,
    "compat",
    "compatibility.compat",
    "Try what the S3 server of each store can do, in buckets of its own that it removes again.",
)
