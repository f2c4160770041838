"""A validator's desk: take the next submission, keep it, put it back, decide on it.

What is on one desk is on no other (`catalog/reviews.py`); a desk whose validator fell silent is cleared by time. The
database records all of it in the audit log.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from mediaplane.access.principals import Principal, Role
from mediaplane.access.rules import Action, viewer
from mediaplane.catalog import reviews, submissions
from mediaplane.catalog.reviews import ReviewLink
from mediaplane.catalog.submissions import Submission
from mediaplane.errors import LinkInvalid, ReviewNotHeld
from mediaplane.postgres import Connection

MOST_TIERS = 9


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a validator says of a submission; the contributor reads reasons and note."""

    verdict: str  # of `reviews.VERDICTS`
    reason_codes: Sequence[str] = ()
    note: str = ""


@dataclass(frozen=True, slots=True)
class Desk:
    """Where one validator reviews; `owner` and `team` say whose submissions, None everybody's."""

    name: str
    subject: str  # whom decisions name as who clicked: the validator's key, or a link
    tier: int
    owner: str | None
    team: str | None
    lease: timedelta
    alone: bool = False  # nobody else is here: own submissions are reviewed too, and all tiers by one

    async def take(
        self, conn: Connection, *, task_id: str | None = None, submission_id: str | None = None
    ) -> Submission | None:
        """Return what lies on the desk, else the next submission that waits, None where none does.

        Raises:
            SubmissionNotFound: this very one was asked for, and is not in sight.
            ReviewNotHeld: it was, and cannot be taken now.
        """
        await reviews.lock_desk(conn, self.name)
        if submission_id is not None:
            return await self._take_one(conn, submission_id)
        for lying in await reviews.held(conn, self.name, team=self.team, task_id=task_id):
            if kept := await reviews.renew(conn, lying.submission_id, self.name, lease=self.lease):
                return kept  # else its lease ended between two statements
        return await self._take(conn, task_id=task_id)

    async def renew(self, conn: Connection, submission_id: str) -> Submission:
        """Keep the submission on the desk for another lease.

        Raises:
            SubmissionNotFound, ReviewNotHeld: it is not in sight, or not on the desk (any more).
        """
        await self.require(conn, submission_id)
        found = await reviews.renew(conn, submission_id, self.name, lease=self.lease)
        return self._still(found)

    async def release(self, conn: Connection, submission_id: str) -> Submission:
        """Put the submission back: others may take it at once.

        Raises:
            SubmissionNotFound, ReviewNotHeld: as `renew`.
        """
        await self.require(conn, submission_id)
        return self._still(await reviews.release(conn, submission_id, self.name))

    async def decide(self, conn: Connection, submission_id: str, verdict: Verdict) -> Submission:
        """Decide on the submission and return it as it is then.

        Raises:
            SubmissionNotFound, ReviewNotHeld: as `renew`; also where it was decided before.
        """
        asked = await self.require(conn, submission_id)
        await reviews.decide(
            conn,
            asked,
            verdict=verdict.verdict,
            reason_codes=verdict.reason_codes,
            note=verdict.note,
            validator=self.name,
            subject=self.subject,
        )
        return await submissions.get(conn, submission_id, owner=self.owner, team=self.team)

    async def require(self, conn: Connection, submission_id: str) -> Submission:
        """Return the submission, locked, if it lies on this desk.

        Raises:
            SubmissionNotFound: it is not in sight.
            ReviewNotHeld: it lies elsewhere, or nowhere.
        """
        found = await submissions.lock(conn, submission_id, owner=self.owner, team=self.team)
        if not await reviews.is_held(conn, submission_id, self.name):
            raise ReviewNotHeld(_why_not(found, self.name))
        return found

    async def make_link(
        self, conn: Connection, submission_id: str, *, may_decide: bool, lifetime: timedelta, title: str
    ) -> ReviewLink:
        """Make a link to the submission; one that may decide keeps it on the desk for as long as it lives.

        Raises:
            SubmissionNotFound, ReviewNotHeld: as `renew`.
        """
        held = await self.require(conn, submission_id)
        if may_decide:
            self._still(await reviews.renew(conn, submission_id, self.name, lease=lifetime))
        expires_at = datetime.now(UTC).replace(microsecond=0) + lifetime
        return await reviews.add_link(
            conn, held, validator=self.name, may_decide=may_decide, title=title, expires_at=expires_at
        )

    async def _take_one(self, conn: Connection, submission_id: str) -> Submission:
        if await reviews.is_held(conn, submission_id, self.name):
            return await self.renew(conn, submission_id)
        if taken := await self._take(conn, submission_id=submission_id):
            return taken
        found = await submissions.lock(conn, submission_id, owner=self.owner, team=self.team)
        raise ReviewNotHeld(self._why_not_taken(found))

    async def _take(
        self, conn: Connection, *, task_id: str | None = None, submission_id: str | None = None
    ) -> Submission | None:
        return await reviews.take(
            conn,
            self.name,
            tier=self.tier,
            lease=self.lease,
            owner=self.owner,
            team=self.team,
            task_id=task_id,
            submission_id=submission_id,
            alone=self.alone,
        )

    def _why_not_taken(self, found: Submission) -> str:
        if found.state != "in_review":
            return f"the submission is {found.state}: there is nothing to review"
        if found.lease_until is not None and found.lease_until > datetime.now(UTC):
            return "another validator has the submission on the desk"
        if found.tier > self.tier:
            return f"the submission waits for a validator of tier {found.tier}"
        return "who sent a submission in, or has approved it in another tier, does not review it"

    def _still(self, found: Submission | None) -> Submission:
        if found is None:  # the lease ended between two statements
            raise ReviewNotHeld("the submission is not on your desk any more: take it again")
        return found


def desk_of(principal: Principal, *, lease: timedelta) -> Desk:
    """Return the principal's desk.

    Raises:
        NotPermitted: the role does not review.
    """
    seen = viewer(principal, Action.REVIEW)
    tier = max(principal.tier, 1) if principal.role is Role.VALIDATOR else MOST_TIERS
    return Desk(principal.owner, principal.subject, tier, seen.owner, seen.team, lease, alone=principal.only_own)


def desk_of_link(link: ReviewLink, submission: Submission, *, lease: timedelta) -> Desk:
    """Return the desk on which a link decides: that of the validator who made it.

    Raises:
        LinkInvalid: it may only be looked at, or another tier is asked by now.
    """
    if not link.may_decide:
        raise LinkInvalid("this link is for looking only")
    if (link.round, link.tier) != (submission.round, submission.tier):
        raise LinkInvalid("what this link was for is over")
    return Desk(link.validator, f"link:{link.link_id}", link.tier, link.owner, link.team, lease)


def check_link(link: ReviewLink, submission: Submission) -> None:
    """Return if the link shows the submission now.

    Raises:
        LinkInvalid: it was revoked or has expired, or its round is over.
    """
    if link.revoked_at is not None or link.expires_at <= datetime.now(UTC):
        raise LinkInvalid("this link has expired, or was revoked: ask for a new one")
    if submission.state != "in_review" or submission.round != link.round:
        raise LinkInvalid("what this link was for is over: it has been decided")


def _why_not(found: Submission, name: str) -> str:
    if found.state != "in_review":
        return f"the submission is {found.state}: there is nothing to decide"
    if found.holder == name:
        return "your lease has ended: take the submission again"
    return "the submission is not on your desk: take it first"
