"""What each role may do, and to whose rows: one table, and the viewer that follows from it."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum, StrEnum

from mediaplane.access.principals import EVERYBODY, Principal, Role
from mediaplane.errors import NotPermitted
from mediaplane.postgres import Sight


class Reach(IntEnum):
    """Whose rows; larger includes smaller."""

    NONE = 0
    OWN = 1
    TEAM = 2
    ALL = 3


class Action(StrEnum):
    """What can be done; the values are the scopes of keys and tokens."""

    READ = "read"  # lists, states, texts, search
    PLAY = "play"  # URLs of bytes: playback, frames, clips, downloads
    UPLOAD = "upload"
    EDIT = "edit"  # what is known of an asset: titles, highlights
    CUT = "cut"  # ask for clips
    DELETE = "delete"
    REVIEW = "review"
    TASKS = "tasks"  # make and change tasks
    DATASETS = "datasets"  # choose, pack, release
    DOWNLOAD = "download"  # take releases that were granted
    GRANT = "grant"  # give others access
    KEYS = "keys"
    AUDIT = "audit"
    OPERATE = "operate"  # scans, events, plans, purges


_NONE, _OWN, _TEAM, _ALL = Reach
_ROLES = (Role.CONTRIBUTOR, Role.VALIDATOR, Role.COMPANY, Role.MEMBER, Role.ADMIN, Role.SERVICE)
# fmt: off
_TABLE: Mapping[Action, tuple[Reach, ...]] = {
    #                 contributor validator company member admin service
    Action.READ:     (_OWN,       _TEAM,    _OWN,   _TEAM, _ALL, _ALL),
    Action.PLAY:     (_OWN,       _TEAM,    _OWN,   _TEAM, _ALL, _ALL),
    Action.UPLOAD:   (_OWN,       _NONE,    _NONE,  _OWN,  _ALL, _ALL),
    Action.EDIT:     (_OWN,       _NONE,    _NONE,  _TEAM, _ALL, _ALL),
    Action.CUT:      (_NONE,      _TEAM,    _NONE,  _TEAM, _ALL, _ALL),
    Action.DELETE:   (_OWN,       _NONE,    _NONE,  _OWN,  _ALL, _ALL),
    Action.REVIEW:   (_NONE,      _TEAM,    _NONE,  _NONE, _ALL, _NONE),
    Action.TASKS:    (_NONE,      _NONE,    _TEAM,  _TEAM, _ALL, _ALL),
    Action.DATASETS: (_NONE,      _NONE,    _NONE,  _TEAM, _ALL, _ALL),
    Action.DOWNLOAD: (_NONE,      _NONE,    _TEAM,  _TEAM, _ALL, _ALL),
    Action.GRANT:    (_NONE,      _NONE,    _NONE,  _NONE, _ALL, _NONE),
    Action.KEYS:     (_NONE,      _NONE,    _NONE,  _NONE, _ALL, _NONE),
    Action.AUDIT:    (_NONE,      _NONE,    _NONE,  _NONE, _ALL, _NONE),
    Action.OPERATE:  (_NONE,      _NONE,    _NONE,  _NONE, _ALL, _ALL),
}
# fmt: on


@dataclass(frozen=True, slots=True)
class Viewer:
    """Whose rows a transaction sees and may change: None in place of a name is everybody's."""

    owner: str | None
    team: str | None
    asset_id: str | None = None  # and beside them this one asset


EVERYTHING = Viewer(None, None)


def of_asset(asset_id: str) -> Viewer:
    """Return the viewer of who holds a link to one asset."""
    return Viewer("", "", asset_id)


def reach(principal: Principal, action: Action) -> Reach:
    """Return whose rows the principal may do this to."""
    if principal.scopes and action.value not in principal.scopes:
        return Reach.NONE
    if principal.role is Role.SERVICE and not principal.scopes:
        return Reach.NONE  # a program is given what it needs, by name
    found = _TABLE[action][_ROLES.index(principal.role)]
    return min(found, Reach.OWN) if principal.only_own else found


def viewer(principal: Principal, action: Action) -> Viewer:
    """Return whose rows the principal may do this to, as the catalog asks for it.

    Own rows are those of the owner in the team that the credentials name. Who is trusted without accounts has no
    team to be told apart by.

    Raises:
        NotPermitted: nobody's. Says nothing of any row, so it may be told.
    """
    match reach(principal, action):
        case Reach.ALL:
            return EVERYTHING
        case Reach.TEAM:
            return Viewer(None, principal.team)
        case Reach.OWN:
            return Viewer(principal.owner, None if principal.only_own else principal.team)
    raise NotPermitted(f"{principal.role} may not do this: it needs {action.value!r} in its role and scopes")


def may_do(principal: Principal, action: Action, *, owner: str, team: str) -> bool:
    """Return whether the principal may do this to a row of this owner and team."""
    match reach(principal, action):
        case Reach.ALL:
            return True
        case Reach.TEAM:
            return team == principal.team
        case Reach.OWN:
            return owner == principal.owner and (principal.only_own or team == principal.team)
    return False


def sight(seen: Viewer) -> Sight:
    """Return the viewer as row-level security reads it."""
    owner = EVERYBODY if seen.owner is None else seen.owner
    team = EVERYBODY if seen.team is None else seen.team
    return Sight(owner, team, seen.asset_id or "")
