"""What each role may do, as a table: a change of it is a change of this file."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mediaplane.access.principals import Principal, Role, local_principal
from mediaplane.access.rules import EVERYTHING, Action, Reach, Viewer, may_do, of_asset, reach, sight, viewer
from mediaplane.errors import CredentialsInvalid, NotPermitted

TABLE = """
action    contributor validator company member admin service
read      own         team      own     team   all   all
play      own         team      own     team   all   all
upload    own         -         -       own    all   all
edit      own         -         -       team   all   all
cut       -           team      -       team   all   all
delete    own         -         -       own    all   all
review    -           team      -       -      all   -
tasks     -           -         team    team   all   all
datasets  -           -         -       team   all   all
download  -           -         team    team   all   all
grant     -           -         -       -      all   -
keys      -           -         -       -      all   -
audit     -           -         -       -      all   -
operate   -           -         -       -      all   all
"""
REACHES = {"-": Reach.NONE, "own": Reach.OWN, "team": Reach.TEAM, "all": Reach.ALL}


def who(role: Role, **fields) -> Principal:
    scopes = frozenset(Action) if role is Role.SERVICE else frozenset()
    return Principal(**{"subject": "s", "owner": "me", "team": "mine", "role": role, "scopes": scopes, **fields})


def read_table() -> dict[tuple[Action, Role], Reach]:
    head, *rows = (line.split() for line in TABLE.strip().splitlines())
    roles = [Role(name) for name in head[1:]]
    return {(Action(row[0]), role): REACHES[cell] for row in rows for role, cell in zip(roles, row[1:], strict=True)}


def test_reach_is_the_table():
    """Every action of every role has its cell, and the cell is what the rules say."""
    expected = read_table()
    assert {(action, role): reach(who(role), action) for action in Action for role in Role} == expected


@given(st.sampled_from(Role), st.sampled_from(Action), st.sets(st.sampled_from(Action), min_size=1))
def test_reach_is_never_widened_by_scopes(role, action, scopes):
    """Scopes take away: an action outside them reaches nothing, one inside reaches what the role does."""
    scoped = reach(who(role, scopes=frozenset(scopes)), action)
    assert scoped == (reach(who(role), action) if action in scopes else Reach.NONE)


def test_reach_of_a_service_without_scopes():
    """A program is given what it needs by name; without scopes it may do nothing."""
    assert {reach(who(Role.SERVICE, scopes=frozenset()), action) for action in Action} == {Reach.NONE}


@pytest.mark.parametrize("action", Action)
def test_reach_of_the_local_owner(action):
    """Who is trusted on loopback may do everything, to own rows in whatever team."""
    local = local_principal("me", "mine")
    assert viewer(local, action) == Viewer("me", None)
    assert may_do(local, action, owner="me", team="another")
    assert not may_do(local, action, owner="them", team="mine")


def test_viewer():
    """What is asked of the catalog follows from the reach; both owner and team narrow own rows."""
    assert viewer(who(Role.CONTRIBUTOR), Action.READ) == Viewer("me", "mine")
    assert viewer(who(Role.MEMBER), Action.READ) == Viewer(None, "mine")
    assert viewer(who(Role.ADMIN), Action.READ) == EVERYTHING
    with pytest.raises(NotPermitted, match="review"):
        viewer(who(Role.CONTRIBUTOR), Action.REVIEW)


@given(st.sampled_from(Role), st.sampled_from(Action), st.sampled_from(["me", "them"]), st.sampled_from(["mine", "no"]))
def test_may_do_says_what_the_viewer_sees(role, action, owner, team):
    """Asking about one row and narrowing a query are the same rule."""
    principal = who(role)
    try:
        seen = viewer(principal, action)
    except NotPermitted:
        assert not may_do(principal, action, owner=owner, team=team)
        return
    in_sight = seen.owner in (None, owner) and seen.team in (None, team)
    assert may_do(principal, action, owner=owner, team=team) == in_sight


def test_sight():
    """The database reads `*` as everybody's; the holder of a link sees one asset and nobody's rows."""
    assert (sight(EVERYTHING).owner, sight(EVERYTHING).team) == ("*", "*")
    assert (sight(of_asset("a")).owner, sight(of_asset("a")).team, sight(of_asset("a")).asset_id) == ("", "", "a")


@pytest.mark.parametrize("name", ["", "*", "a\x00b", "a\nb", "x" * 201, "\u202e"])
def test_principal_with_a_name_that_means_something_else(name):
    """No credentials can name everybody, nobody, or what cannot be read."""
    for field in ("owner", "team"):
        with pytest.raises(CredentialsInvalid):
            who(Role.MEMBER, **{field: name})
