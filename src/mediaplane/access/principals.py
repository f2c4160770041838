"""Who asks: the person or program behind a request, whatever proved it (a key, a token, the loopback)."""

from dataclasses import dataclass
from enum import StrEnum

from mediaplane.errors import CredentialsInvalid

MAX_NAME_CHARS = 200
EVERYBODY = "*"  # in a viewer; nobody's name


class Role(StrEnum):
    """What someone is to the deployment; `access/rules.py` says what each may do."""

    CONTRIBUTOR = "contributor"  # uploads for tasks, sees own things
    VALIDATOR = "validator"  # reviews what the team's contributors sent in, by tier
    COMPANY = "company"  # downloads what was granted to it
    MEMBER = "member"  # works with the things of the own team
    ADMIN = "admin"  # everything
    SERVICE = "service"  # another program of the deployment, bound by its scopes


@dataclass(frozen=True, slots=True)
class Principal:
    """One who was recognised. Rows are narrowed by `owner` and `team`; audit records name `subject`."""

    subject: str  # who it was: `key:ID`, `jwt:SUB`, or `local`
    owner: str
    team: str
    role: Role
    scopes: frozenset[str] = frozenset()  # empty: all that the role may do
    key_id: str | None = None  # of the API key, where one was used
    tier: int = 0  # of a validator; larger may review more
    only_own: bool = False  # narrowed to own rows, whatever the role

    def __post_init__(self) -> None:
        """Refuse names that mean something else in the database.

        Raises:
            CredentialsInvalid: owner or team is empty, too long, `*`, or has characters that text does not.
        """
        for name in (self.owner, self.team):
            if not 0 < len(name) <= MAX_NAME_CHARS or name == EVERYBODY or not name.isprintable():
                raise CredentialsInvalid("the credentials name no owner and team that can be used")


def local_principal(owner: str, team: str) -> Principal:
    """Return who is trusted on loopback without accounts: the deployment's owner, who may do everything to own rows."""
    return Principal(subject="local", owner=owner, team=team, role=Role.ADMIN, only_own=True)


LOCAL = local_principal("local", "local")
