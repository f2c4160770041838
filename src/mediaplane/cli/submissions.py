"""`submission ls|show`: what was sent in for tasks, and what became of it."""

from dataclasses import asdict

import typer

from mediaplane.catalog import reviews, submissions
from mediaplane.catalog.reviews import Decision
from mediaplane.catalog.submissions import STATES, Step, Submission
from mediaplane.cli.output import console, print_json, print_table
from mediaplane.cli.session import with_plane
from mediaplane.wiring import Plane

JSON = typer.Option(False, "--json", help="Print one JSON document and nothing else")

app = typer.Typer(
    name="submission",
    help="What was sent in for tasks: ls, show.",
    no_args_is_help=True,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.command()
def ls(
    task: str = typer.Option("", "--task", help="Only those for this task"),
    state: str = typer.Option("", "--state", help=f"Only those that are {', '.join(STATES)}"),
    owner: str = typer.Option("", "--owner", help="Only this contributor's"),
    limit: int = typer.Option(100, "--limit", min=1, max=10_000, help="How many"),
    as_json: bool = JSON,
) -> None:
    """List submissions, newest first."""
    if state and state not in STATES:
        raise typer.BadParameter(f"must be one of {', '.join(STATES)}, not {state!r}", param_hint="--state")

    async def read(plane: Plane) -> list[Submission]:
        async with plane.pool.connection() as conn:
            return await submissions.page(
                conn, owner=owner or None, team=None, task_id=task or None, state=state or None, limit=limit
            )

    found = with_plane(read)
    if as_json:
        print_json({"submissions": [asdict(one) for one in found]})
        return
    rows = [
        (one.submission_id, one.state, one.round, one.owner, one.asset_id, ", ".join(one.reason_codes)) for one in found
    ]
    print_table(("submission", "state", "round", "contributor", "asset", "reasons"), rows, numeric=("round",))


@app.command()
def show(
    submission_id: str = typer.Argument(
        help="Id of the submission, as `submission ls` prints it", metavar="SUBMISSION"
    ),
    as_json: bool = JSON,
) -> None:
    """Show a submission with every step and decision, by whom and when."""

    async def read(plane: Plane) -> tuple[Submission, list[Step], list[Decision]]:
        async with plane.pool.connection() as conn:
            found = await submissions.get(conn, submission_id, owner=None, team=None)
            return found, await submissions.steps(conn, submission_id), await reviews.decisions(conn, submission_id)

    found, steps, decisions = with_plane(read)
    if as_json:
        told = {"steps": [asdict(one) for one in steps], "decisions": [asdict(one) for one in decisions]}
        print_json({**asdict(found), **told})
        return
    console.print(f"submission {found.submission_id} of {found.owner} for task {found.task_id}: {found.state}")
    if found.holder:
        console.print(f"on the desk of {found.holder} until {found.lease_until:%Y-%m-%d %H:%M:%S} UTC")
    rows = [
        (
            f"{one.at:%Y-%m-%d %H:%M:%S}",
            one.round,
            one.to_state,
            one.tier,
            one.subject,
            ", ".join(one.reason_codes),
            one.note,
        )
        for one in steps
    ]
    print_table(("when (UTC)", "round", "state", "tier", "by", "reasons", "note"), rows, numeric=("round", "tier"))
