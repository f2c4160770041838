"""Plans: what a profile may declare, what an account's terms are, and which plan would help."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mediaplane.media.quotas import (
    Resource,
    Terms,
    end_of_month,
    month_of,
    read_limit,
    read_plans,
    read_size,
    shown,
)

PLANS = read_plans(
    {
        "free": {"default": True, "stored_bytes": "5 GB", "clips": 20, "largest_bytes": "500 MB"},
        "pro": {"title": "Professional", "stored_bytes": "1 TiB", "clips": 500},
        "all": {},
    }
)


@pytest.mark.parametrize(
    ("text", "size_bytes"),
    [("5 GB", 5 * 10**9), ("1.5GiB", 3 << 29), (700, 700), ("12", 12), ("2 kB", 2000), ("2 K", 2000), ("1 TB", 10**12)],
)
def test_size_as_people_write_it(text, size_bytes):
    """Decimal and binary units, with and without a space."""
    assert read_size(text) == size_bytes


@pytest.mark.parametrize("text", ["", "GB", "-1", "1 XB", "1 iB", "5 GB!", True, 1.5, None])
def test_size_that_is_none(text):
    """What is no size is refused, not guessed."""
    assert read_size(text) is None


@pytest.mark.parametrize(
    ("sections", "problem"),
    [
        ({"free": {"stored": 1}}, "there is no limit stored"),
        ({"free": {"clips": -1}}, "clips must be a whole number"),
        ({"free": {"clips": "many"}}, "clips must be a whole number"),
        ({"free": {"clips": True}}, "clips must be"),
        ({"free": {"stored_bytes": "lots"}}, "stored_bytes must be a number"),
        ({"free": {"stored_bytes": 1 << 61}}, "stored_bytes must be"),
        ({"free": {"default": 1}}, "default must be true or false"),
        ({"a": {"default": True}, "b": {"default": True}}, "only one plan"),
        ({"a b": {}}, "a plan's name"),
        ({"free": 3}, "must be a section"),
    ],
)
def test_plan_that_cannot_be(sections, problem):
    """A mistyped plan is refused when the profile is read, with its name."""
    with pytest.raises(ValueError, match=problem):
        read_plans(sections)


def test_limit_lifted_by_word():
    """`unlimited` is a limit that is none."""
    assert read_limit("clips", "unlimited") is None
    assert read_limit("clips", "0") == 0


def test_terms_of_who_was_given_nothing():
    """They are those of the default plan; without one, and without plans, nothing is limited."""
    assert PLANS.terms(None, {}, None).plan == "free"
    assert read_plans({"pro": {"clips": 1}}).terms(None, {}, None) == Terms()
    assert read_plans({}).terms("pro", {Resource.CLIPS: 3}, None).is_unlimited


def test_terms_with_limits_of_ones_own():
    """They stand before the plan's, None lifts one; a plan that is gone counts as the default, without them."""
    own = {Resource.CLIPS: None, Resource.STORED_BYTES: 7}
    terms = PLANS.terms("pro", own, None)
    assert (terms.limit(Resource.CLIPS), terms.limit(Resource.STORED_BYTES)) == (None, 7)
    assert PLANS.terms("gone", own, None) == PLANS.terms(None, {}, None)
    assert PLANS.terms("all", {}, None).is_unlimited


def test_plans_that_would_help():
    """Those in which so much fits, but for the plan that one has."""
    assert PLANS.that_hold(Resource.CLIPS, 21, but="free") == ("pro", "all")
    assert PLANS.that_hold(Resource.CLIPS, 501, but="free") == ("all",)
    assert PLANS.that_hold(Resource.CLIPS, 501, but="all") == ()


@given(
    st.datetimes(
        datetime(2020, 1, 1),  # noqa: DTZ001 -- the strategy adds the zone
        datetime(2040, 1, 1),  # noqa: DTZ001
        timezones=st.just(UTC),
    )
)
def test_month_ends_where_the_next_begins(moment):
    """The end is the first moment of another month, at most 31 days away, in every zone the same."""
    end = end_of_month(moment)
    assert timedelta() < end - moment <= timedelta(days=31)
    assert month_of(end - timedelta(microseconds=1)) == month_of(moment) != month_of(end)
    assert month_of(moment.astimezone(timezone(timedelta(hours=13)))) == month_of(moment)


def test_amounts_as_people_read_them():
    """Each in its unit."""
    assert shown(Resource.STORED_BYTES, 1_500_000) == "1.5 MB"
    assert shown(Resource.STORED_BYTES, 999) == "999 B"
    assert shown(Resource.MINUTES_PER_MONTH, 2.25) == "2.2 minutes"
    assert shown(Resource.CLIPS, 20) == "20"
