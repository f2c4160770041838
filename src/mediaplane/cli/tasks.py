"""`task add|ls|show|change|close|reopen`: what contributors are asked to send in."""

from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

import typer

from mediaplane.catalog import audit, tasks
from mediaplane.catalog.tasks import Count, Task
from mediaplane.cli.output import console, print_json, print_table
from mediaplane.cli.session import operator, with_plane
from mediaplane.wiring import Plane

JSON = typer.Option(False, "--json", help="Print one JSON document and nothing else")
TASK = typer.Argument(help="Id of the task, as `mediaplane task ls` prints it", metavar="TASK")
MAX_MB = typer.Option(0, "--max-mb", min=0, help="The largest file, in MiB; 0: what an upload may have")
MOST = typer.Option(0, "--most", min=0, help="Submissions in all, rejected ones left out; 0: any number")
MOST_OF_ONE = typer.Option(0, "--most-of-one", min=0, help="Submissions of one contributor; 0: any number")
DEADLINE = typer.Option(
    "", "--deadline", help="No upload begins after it: 2026-12-31, or with a time 2026-12-31T18:00Z"
)

app = typer.Typer(
    name="task",
    help="Tasks for contributors: add, ls, show, change, close, reopen.",
    no_args_is_help=True,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.command()
def add(
    title: str = typer.Argument(help="What is asked for, in a line"),
    types: list[str] = typer.Option(
        ..., "--type", help="A media type that is taken, such as audio/*; may be given again"
    ),
    instructions: str = typer.Option("", "--instructions", help="What contributors read"),
    max_mb: int = MAX_MB,
    most: int = MOST,
    most_of_one: int = MOST_OF_ONE,
    tiers: int = typer.Option(
        0, "--tiers", min=0, max=9, help="How many tiers approve [default: MEDIAPLANE_REVIEW_TIERS]"
    ),
    deadline: str = DEADLINE,
    owner: str = typer.Option("", "--owner", help="Who asks for it [default: MEDIAPLANE_OWNER]"),
    team: str = typer.Option("", "--team", help="Whose contributors may send in [default: MEDIAPLANE_TEAM]"),
    as_json: bool = JSON,
) -> None:
    """Make a task."""
    ends = _read_deadline(deadline)

    async def make(plane: Plane) -> Task:
        settings = plane.settings
        async with plane.pool.connection() as conn:
            await audit.act_as(conn, operator())
            return await tasks.add(
                conn,
                owner=owner or settings.owner,
                team=team or settings.team,
                title=title,
                instructions=instructions,
                types=types,
                max_bytes=max_mb << 20 or None,
                max_submissions=most or None,
                max_per_contributor=most_of_one or None,
                review_tiers=tiers or settings.review_tiers,
                deadline=ends,
            )

    made = with_plane(make)
    if as_json:
        print_json(asdict(made))
    else:
        console.print(f"task {made.task_id} of {made.owner}, for contributors of the team {made.team}")


@app.command()
def ls(
    state: str = typer.Option("", "--state", help="Only open or closed ones"),
    team: str = typer.Option("", "--team", help="Only this team's"),
    limit: int = typer.Option(100, "--limit", min=1, max=10_000, help="How many"),
    as_json: bool = JSON,
) -> None:
    """List tasks, newest first."""

    async def read(plane: Plane) -> list[Task]:
        async with plane.pool.connection() as conn:
            return await tasks.page(conn, team=team or None, state=state or None, after=None, limit=limit)

    found = with_plane(read)
    if as_json:
        print_json({"tasks": [asdict(one) for one in found]})
        return
    if not found:
        console.print("no tasks yet: make one with `mediaplane task add TITLE --type 'video/*'`")
        return
    rows = [(one.task_id, one.state, one.team, ", ".join(one.types), _day(one.deadline), one.title) for one in found]
    print_table(("task", "state", "team", "types", "deadline (UTC)", "title"), rows)


@app.command()
def show(task_id: str = TASK, as_json: bool = JSON) -> None:
    """Show a task, its limits, and how many submissions count."""

    async def read(plane: Plane) -> tuple[Task, Count]:
        async with plane.pool.connection() as conn:
            return await tasks.get(conn, task_id), await tasks.count(conn, task_id, "")

    task, count = with_plane(read)
    if as_json:
        print_json({**asdict(task), "submissions": count.counted})
        return
    for name, value in {**asdict(task), "submissions": count.counted}.items():
        shown = ", ".join(value) if isinstance(value, list) else value
        console.print(f"{name:<20} {'' if shown is None else shown}")


@app.command()
def change(
    task_id: str = TASK,
    title: str = typer.Option("", "--title", help="What is asked for, in a line"),
    instructions: str = typer.Option("", "--instructions", help="What contributors read"),
    types: list[str] = typer.Option([], "--type", help="The media types that are taken, all of them"),
    max_mb: int | None = typer.Option(
        None, "--max-mb", min=0, help="The largest file, in MiB; 0: what an upload may have"
    ),
    most: int | None = typer.Option(None, "--most", min=0, help="Submissions in all; 0: any number"),
    most_of_one: int | None = typer.Option(None, "--most-of-one", min=0, help="Of one contributor; 0: any number"),
    tiers: int = typer.Option(0, "--tiers", min=0, max=9, help="How many tiers approve what is sent in from now on"),
    deadline: str = typer.Option("", "--deadline", help="No upload begins after it; none: it has none any more"),
) -> None:
    """Change what is named; the rest stays, and so does what was sent in."""
    changes: dict[str, Any] = {"title": title, "instructions": instructions, "types": types, "review_tiers": tiers}
    changes = {name: value for name, value in changes.items() if value}
    numbers = {
        "max_bytes": None if max_mb is None else max_mb << 20,
        "max_submissions": most,
        "max_per_contributor": most_of_one,
    }
    changes |= {name: value or None for name, value in numbers.items() if value is not None}
    if deadline:
        changes["deadline"] = None if deadline == "none" else _read_deadline(deadline)
    if not changes:
        raise typer.BadParameter("say what to change: `mediaplane task change --help` lists it")
    _change(task_id, changes)
    console.print(f"{task_id} changed: {', '.join(changes)}")


@app.command()
def close(task_id: str = TASK) -> None:
    """Take no more submissions for a task; those that were sent in are reviewed."""
    _change(task_id, {"state": tasks.CLOSED})
    console.print(f"{task_id} is closed")


@app.command()
def reopen(task_id: str = TASK) -> None:
    """Take submissions for a closed task again."""
    _change(task_id, {"state": tasks.OPEN})
    console.print(f"{task_id} is open")


def _change(task_id: str, changes: dict[str, Any]) -> Task:
    async def write(plane: Plane) -> Task:
        async with plane.pool.connection() as conn, conn.transaction():
            await audit.act_as(conn, operator())
            return await tasks.change(conn, task_id, changes)

    return with_plane(write)


def _read_deadline(text: str) -> datetime | None:
    if not text:
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(
            f"write 2026-12-31 or 2026-12-31T18:00Z, not {text!r}", param_hint="--deadline"
        ) from None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _day(moment: datetime | None) -> str:
    return f"{moment:%Y-%m-%d %H:%M}" if moment else ""
