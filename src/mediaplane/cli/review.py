"""`review queue|next|renew|release|approve|reject|return|link|links|revoke`: look at what was sent in, and decide.

Whoever runs this works on the database directly and is recorded as its operator; `--as` names the validator.
"""

from collections.abc import Awaitable, Callable
from dataclasses import asdict
from datetime import timedelta
from typing import TypeVar

import typer

from mediaplane.access.links import ends_at
from mediaplane.access.review import MOST_TIERS, Desk, Verdict
from mediaplane.access.review_tokens import ReviewTokens
from mediaplane.catalog import audit, objects, reviews, submissions
from mediaplane.catalog.audit import NewRecord
from mediaplane.catalog.reviews import APPROVE, NEEDS_CHANGES, REASONS, REJECT, ReviewLink
from mediaplane.catalog.submissions import Submission
from mediaplane.cli.output import console, print_json, print_table
from mediaplane.cli.session import operator, with_plane
from mediaplane.media.keys import ObjectKey
from mediaplane.postgres import Connection
from mediaplane.wiring import Plane

Result = TypeVar("Result")

JSON = typer.Option(False, "--json", help="Print one JSON document and nothing else")
SUBMISSION = typer.Argument(help="Id of the submission, as `submission ls` prints it", metavar="SUBMISSION")
AS = typer.Option("", "--as", help="The validator who answers for it [default: MEDIAPLANE_OWNER]")
TIER = typer.Option(MOST_TIERS, "--tier", min=1, max=MOST_TIERS, help="Up to which tier the validator reviews")
NOTE = typer.Option("", "--note", help="What the contributor reads")
REASON = typer.Option(..., "--reason", help=f"Why, may be given again: {', '.join(REASONS)}")

app = typer.Typer(
    name="review",
    help="Review what was sent in: queue, next, renew, release, approve, reject, return, link, links, revoke.",
    no_args_is_help=True,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.command()
def queue(validator: str = AS, tier: int = TIER, as_json: bool = JSON) -> None:
    """Show what is on the desk, and how many submissions wait."""

    async def read(conn: Connection, desk: Desk, _plane: Plane) -> tuple[list[Submission], int]:
        held = await reviews.held(conn, desk.name, team=None)
        return held, await reviews.count_waiting(conn, tier=tier, owner=None, team=None)

    held, waiting = _at_desk(validator, tier, read)
    if as_json:
        print_json({"held": [asdict(one) for one in held], "waiting": waiting})
        return
    console.print(f"{waiting} submissions wait")
    if held:
        print_table(
            ("on the desk", "task", "tier", "until (UTC)"),
            [(one.submission_id, one.task_id, one.tier, f"{one.lease_until:%Y-%m-%d %H:%M:%S}") for one in held],
            numeric=("tier",),
        )


@app.command("next")
def take_next(
    task: str = typer.Option("", "--task", help="Of this task only"),
    submission: str = typer.Option("", "--submission", help="This very one"),
    validator: str = AS,
    tier: int = TIER,
    as_json: bool = JSON,
) -> None:
    """Take the next submission, and print where its media is."""

    async def take(conn: Connection, desk: Desk, plane: Plane) -> tuple[Submission, str] | None:
        found = await desk.take(conn, task_id=task or None, submission_id=submission or None)
        if found is None or found.asset_id is None:
            return None
        original = await objects.original(conn, found.asset_id)
        url = plane.stores[original.store].signer.sign_get(ObjectKey(original.key))
        issued = NewRecord(
            subject=operator(),
            action="url.issued",
            kind="asset",
            thing=found.asset_id,
            owner=found.owner,
            team=found.team,
            until=ends_at(url),
        )
        await audit.add(conn, [issued])
        return found, url

    taken = _at_desk(validator, tier, take)
    if as_json:
        print_json({"review": {**asdict(taken[0]), "original_url": taken[1]} if taken else None})
    elif taken is None:
        console.print("nothing waits")
    else:
        found, url = taken
        console.print(f"submission {found.submission_id}, tier {found.tier} of {found.tiers}, round {found.round}")
        console.print(f"on the desk until {found.lease_until:%Y-%m-%d %H:%M:%S} UTC")
        print(url)


@app.command()
def renew(submission_id: str = SUBMISSION, validator: str = AS) -> None:
    """Keep a submission on the desk for another lease."""

    async def hold(conn: Connection, desk: Desk, _plane: Plane) -> Submission:
        return await desk.renew(conn, submission_id)

    found = _at_desk(validator, MOST_TIERS, hold)
    console.print(f"{submission_id} is on the desk until {found.lease_until:%Y-%m-%d %H:%M:%S} UTC")


@app.command()
def release(submission_id: str = SUBMISSION, validator: str = AS) -> None:
    """Put a submission back: others may take it."""

    async def put_back(conn: Connection, desk: Desk, _plane: Plane) -> Submission:
        return await desk.release(conn, submission_id)

    _at_desk(validator, MOST_TIERS, put_back)
    console.print(f"{submission_id} is free again")


@app.command()
def approve(submission_id: str = SUBMISSION, note: str = NOTE, validator: str = AS, as_json: bool = JSON) -> None:
    """Approve a submission that is on the desk, for the tier that is asked."""
    _decide(submission_id, Verdict(APPROVE, (), note), validator, as_json=as_json)


@app.command()
def reject(
    submission_id: str = SUBMISSION,
    reasons: list[str] = REASON,
    note: str = NOTE,
    validator: str = AS,
    as_json: bool = JSON,
) -> None:
    """Reject a submission that is on the desk, for good."""
    _decide(submission_id, Verdict(REJECT, _known(reasons), note), validator, as_json=as_json)


@app.command("return")
def send_back(
    submission_id: str = SUBMISSION,
    reasons: list[str] = REASON,
    note: str = NOTE,
    validator: str = AS,
    as_json: bool = JSON,
) -> None:
    """Ask the contributor for changes to a submission that is on the desk."""
    _decide(submission_id, Verdict(NEEDS_CHANGES, _known(reasons), note), validator, as_json=as_json)


@app.command()
def link(
    submission_id: str = SUBMISSION,
    may_decide: bool = typer.Option(False, "--decide", help="Whoever has it decides, in the validator's name"),
    hours: float = typer.Option(24, "--hours", min=0.1, max=720, help="How long it lives"),
    title: str = typer.Option("", "--title", help="Whom it is for"),
    validator: str = AS,
    as_json: bool = JSON,
) -> None:
    """Make a link to a submission on the desk, for somebody without an account, and print it, this once."""

    async def make(conn: Connection, desk: Desk, plane: Plane) -> tuple[ReviewLink, str]:
        made = await desk.make_link(
            conn, submission_id, may_decide=may_decide, lifetime=timedelta(hours=hours), title=title
        )
        token = ReviewTokens(plane.signing_key).make_token(made)
        return made, f"{plane.settings.public_url}/v1/review-links/{token}"

    made, url = _at_desk(validator, MOST_TIERS, make)
    if as_json:
        print_json({**asdict(made), "url": url})
    else:
        console.print(f"link {made.link_id}, until {made.expires_at:%Y-%m-%d %H:%M} UTC")
        print(url)


@app.command()
def links(submission_id: str = SUBMISSION, as_json: bool = JSON) -> None:
    """List the links of a submission."""

    async def read(plane: Plane) -> list[ReviewLink]:
        async with plane.pool.connection() as conn:
            await submissions.get(conn, submission_id, owner=None, team=None)
            return await reviews.links(conn, submission_id)

    found = with_plane(read)
    if as_json:
        print_json({"links": [asdict(one) for one in found]})
        return
    rows = [
        (
            one.link_id,
            "decide" if one.may_decide else "look",
            f"{one.expires_at:%Y-%m-%d %H:%M}",
            _revoked(one),
            one.title,
        )
        for one in found
    ]
    print_table(("link", "may", "until (UTC)", "revoked", "for"), rows)


@app.command()
def revoke(
    submission_id: str = SUBMISSION,
    link_id: str = typer.Argument(help="Id of the link, as `review links` prints it", metavar="LINK"),
) -> None:
    """End a link at once."""

    async def end(conn: Connection, desk: Desk, _plane: Plane) -> ReviewLink:
        return await reviews.revoke_link(conn, submission_id, link_id, lease=desk.lease)

    _at_desk("", MOST_TIERS, end)
    console.print(f"{link_id} is revoked")


def _decide(submission_id: str, verdict: Verdict, validator: str, *, as_json: bool) -> None:
    async def decide(conn: Connection, desk: Desk, _plane: Plane) -> Submission:
        return await desk.decide(conn, submission_id, verdict)

    found = _at_desk(validator, MOST_TIERS, decide)
    if as_json:
        print_json(asdict(found))
    elif found.state == "in_review":
        console.print(f"{submission_id} is approved by tier {found.tier - 1}; tier {found.tier} is asked")
    else:
        console.print(f"{submission_id} is {found.state}")


def _at_desk(validator: str, tier: int, work: Callable[[Connection, Desk, Plane], Awaitable[Result]]) -> Result:
    """Do the work at the validator's desk, in one transaction."""

    async def run(plane: Plane) -> Result:
        lease = timedelta(minutes=plane.settings.review_minutes)
        name = validator or plane.settings.owner
        desk = Desk(name, operator(), tier, None, None, lease, alone=not plane.settings.auth)
        async with plane.pool.connection() as conn, conn.transaction():
            await audit.act_as(conn, operator())
            return await work(conn, desk, plane)

    return with_plane(run)


def _known(reasons: list[str]) -> list[str]:
    if unknown := sorted(set(reasons) - set(REASONS)):
        raise typer.BadParameter(f"may be {', '.join(REASONS)}, not {unknown[0]}", param_hint="--reason")
    return reasons


def _revoked(row: ReviewLink) -> str:
    return f"{row.revoked_at:%Y-%m-%d %H:%M}" if row.revoked_at else ""
