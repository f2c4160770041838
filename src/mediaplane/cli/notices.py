"""`notices poll`: take what buckets tell from queues, now."""

import asyncio
import logging

import typer

from mediaplane.access.polling import poll as poll_queues
from mediaplane.cli.output import console, print_json
from mediaplane.errors import SettingInvalid
from mediaplane.logs import set_up_logging
from mediaplane.servers import find_services
from mediaplane.settings import load_settings
from mediaplane.wiring import open_plane

app = typer.Typer(
    name="notices",
    help="What buckets tell of new objects: poll.",
    no_args_is_help=True,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback()
def group() -> None:
    """Keep `poll` a subcommand, alone as it is."""


@app.command()
def poll(as_json: bool = typer.Option(False, "--json", help="Print one JSON document and nothing else")) -> None:
    """Empty the queues of MEDIAPLANE_NOTICE_QUEUES, as workers do every few seconds."""
    wanted = load_settings(role="scanner")
    if not wanted.notice_queues:
        raise SettingInvalid("MEDIAPLANE_NOTICE_QUEUES", "names no queue: see docs/arrivals.md")
    set_up_logging(logging.WARNING)  # what came of the notices is told below
    settings = find_services(wanted)

    async def run() -> dict[str, int]:
        async with open_plane(settings) as plane:
            found = await poll_queues(plane.queues(), plane.notices(plane.pool.connection))
        return {str(outcome): count for outcome, count in found.items()}

    outcomes = asyncio.run(run())
    if as_json:
        print_json({"outcomes": outcomes})
    elif not outcomes:
        console.print("the queues are empty")
    for outcome, count in () if as_json else sorted(outcomes.items()):
        console.print(f"{count} {outcome.replace('_', ' ')}")
