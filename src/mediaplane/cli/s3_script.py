"""The lines of `mediaplane s3 run`: each a command as the shell would take it, without `mediaplane s3`."""

import shlex
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import typer

from mediaplane.cli import s3_options as options
from mediaplane.storage.bulk.places import STREAM
from mediaplane.storage.bulk.requests import Request

Makers = Mapping[str, Callable[[Any], Request]]
_FOR_ALL = ("workers", "bwlimit", "retries", "part_size", "verify", "endpoint_url", "source_endpoint_url", "as_json")


def read_script(script: str, ctx: Any, makers: Makers) -> list[Request]:
    """Return what the lines ask for; all of them are read before any is done.

    Raises:
        BadParameter: a line cannot be understood; the sentence names it.
        OSError: the file cannot be read.
    """
    text = sys.stdin.read() if script == STREAM else Path(script).read_text(encoding="utf-8")
    for_all = options.options_of(ctx)
    requests: list[Request] = []
    for number, words in _lines_of(text):
        try:
            request = _read_line(words, ctx, makers)
        except typer.BadParameter as error:
            raise typer.BadParameter(f"line {number}: {error.message}", param_hint="SCRIPT") from error
        own = request.options or for_all
        mixed = replace(for_all, content_type=own.content_type, storage_class=own.storage_class, metadata=own.metadata)
        dry = replace(request.choice, dry_run=request.choice.dry_run or bool(ctx.params["dry_run"]))
        requests.append(replace(request, options=mixed, choice=dry))
    return requests


def _lines_of(text: str) -> Iterator[tuple[int, list[str]]]:
    """Yield number and words of each line that is neither empty nor a remark."""
    for number, line in enumerate(text.split("\n"), start=1):
        try:
            words = shlex.split(line, comments=line.lstrip().startswith("#"))
        except ValueError as error:
            raise typer.BadParameter(f"line {number}: {error}", param_hint="SCRIPT") from error
        if words:
            yield number, words


def _read_line(words: list[str], ctx: Any, makers: Makers) -> Request:
    name, *arguments = words
    if name not in makers:
        raise typer.BadParameter(f"a line begins with {', '.join(makers)}, not {name!r}")
    command = ctx.parent.command.get_command(ctx.parent, name)
    try:
        line = command.make_context(name, list(arguments), parent=ctx.parent)
    except Exception as error:
        if not hasattr(error, "format_message"):  # not one of click's own, which Typer carries inside
            raise
        raise typer.BadParameter(error.format_message()) from error
    given = [option for option in _FOR_ALL if str(line.get_parameter_source(option)).endswith("COMMANDLINE")]
    if given:
        raise typer.BadParameter(f"--{given[0].replace('_', '-')} is for all lines: give it to `run`")
    if STREAM in (*line.params.get("sources", ()), line.params.get("target")) or line.params.get("incomplete"):
        raise typer.BadParameter("- and --incomplete are for commands of their own")
    return makers[name](line)
