"""The outermost command: options that every command has, exit statuses, and how errors end a run.

Knows no commands: `app.py` puts them in.
"""

import os
import sys
from collections.abc import Sequence
from typing import Any

import typer

from mediaplane.cli.later import LateGroup
from mediaplane.errors import MediaplaneError

TYPER_INTERRUPTED = 130  # what Typer makes of Ctrl-C, without a word
COMMON_OPTIONS = ("--state-dir", "--profile")


class Commands(LateGroup):
    """Takes the common options in front of the command and behind it."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Move the common options to the front, up to a `--`."""
        end = args.index("--") if "--" in args else len(args)
        common, others = _take_common(args[:end])
        return super().parse_args(ctx, [*common, *others, *args[end:]])


def _take_common(args: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return the common options with their values, and everything else."""
    common: list[str] = []
    others: list[str] = []
    waiting = iter(args)
    for argument in waiting:
        if argument in COMMON_OPTIONS:
            common += [argument, *(value for value in [next(waiting, None)] if value is not None)]
        elif argument.startswith(tuple(f"{option}=" for option in COMMON_OPTIONS)):
            common.append(argument)
        else:
            others.append(argument)
    return common, others


def new_app() -> typer.Typer:
    """Return `mediaplane` without its commands."""
    app = typer.Typer(
        name="mediaplane",
        cls=Commands,
        help="The storage plane for video, audio and images: a recording goes in; its words are found, played and cut.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(common)
    return app


def common(
    state_dir: str = typer.Option(
        "", "--state-dir", help="Where everything embedded lives [env MEDIAPLANE_STATE_DIR; default .mediaplane]"
    ),
    profile: str = typer.Option("", "--profile", help="Profile name or .toml file [env MEDIAPLANE_PROFILE]"),
) -> None:
    """Take the options that every command has; they reach child processes through the environment."""
    if state_dir:
        os.environ["MEDIAPLANE_STATE_DIR"] = state_dir
    if profile:
        os.environ["MEDIAPLANE_PROFILE"] = profile


def run(app: typer.Typer) -> None:
    """Run the command line; errors raised on purpose become one line and exit status 1."""
    try:
        app()
    except MediaplaneError as error:
        fail(error.message)
    except OSError as error:
        fail(str(error))
    except KeyboardInterrupt:
        fail("interrupted")
    except SystemExit as ended:
        if ended.code == TYPER_INTERRUPTED:
            fail("interrupted")
        raise


def fail(message: str) -> None:
    """Print the error and end with exit status 1."""
    print(f"mediaplane: {message}", file=sys.stderr)
    sys.exit(1)
