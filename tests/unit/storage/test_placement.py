"""Which store new bytes go to: by mode, percentage and role."""

from hypothesis import given
from hypothesis import strategies as st

from mediaplane.media.ids import ID_PATTERN, new_id
from mediaplane.settings import load_settings
from mediaplane.storage.placement import Placement, read_placement

TWINS = {"s3": "local", "public": "public.local"}
ROLES = {"default": "s3", "poster": "public"}
asset_ids = st.from_regex(ID_PATTERN, fullmatch=True)
percentages = st.floats(0, 100)
WENT_TO_BUCKETS = ["a", "c", "e", "f", "g", "h", "j"]


def placement(mode: str, percentage: float = 10.0) -> Placement:
    return Placement(mode, percentage, ROLES, TWINS)


@given(asset_ids)
def test_mode_decides_for_every_asset(asset_id):
    """`s3` writes to the role's store, `local` to its twin."""
    assert placement("s3").store_for(asset_id, "original") == "s3"
    assert placement("s3").store_for(asset_id, "poster") == "public"
    assert placement("local").store_for(asset_id, "original") == "local"
    assert placement("local").store_for(asset_id, "poster") == "public.local"


@given(asset_ids, percentages, percentages)
def test_higher_percentage_moves_none_back(asset_id, one, other):
    """Whoever went to a bucket at a percentage goes there at every higher one."""
    low, high = sorted((one, other))
    if placement("hybrid", low).uses_buckets(asset_id):
        assert placement("hybrid", high).uses_buckets(asset_id)


@given(asset_ids, percentages)
def test_all_roles_of_an_asset_go_the_same_way(asset_id, percentage):
    """Either all of it goes to buckets, or nothing."""
    hybrid = placement("hybrid", percentage)
    stores = {hybrid.store_for(asset_id, role) for role in ("original", "segment", "poster", "clip")}
    assert stores in ({"s3", "public"}, {"local", "public.local"})


@given(asset_ids)
def test_none_and_all(asset_id):
    """0 is like `local`, 100 like `s3`."""
    assert placement("hybrid", 0).store_for(asset_id, "original") == "local"
    assert placement("hybrid", 100).store_for(asset_id, "original") == "s3"


@given(asset_ids, percentages)
def test_way_of_an_asset_is_that_of_its_hash(asset_id, percentage):
    """What is asked of the hash is what is written."""
    hybrid = placement("hybrid", percentage)
    assert (hybrid.store_for(asset_id, "clip") == "s3") == hybrid.uses_buckets(asset_id)


def test_share_is_what_was_asked_for():
    """Of many assets about the percentage goes to buckets."""
    for percentage in (10, 25, 50, 75):
        taken = sum(placement("hybrid", percentage).uses_buckets(new_id()) for _ in range(4000))
        assert abs(taken / 40 - percentage) < 5


def test_way_of_an_asset_never_changes_between_releases():
    """These went to buckets at 50 in the first release that had the mode."""
    taken = [name for name in "abcdefghij" if placement("hybrid", 50).uses_buckets(name)]
    assert taken == WENT_TO_BUCKETS


def test_both_stores_of_a_role_are_known():
    """Whatever the mode was, objects of a role are in its store or in the twin."""
    assert placement("local").stores_of("original") == ("s3", "local")
    assert placement("s3").stores_of("poster") == ("public", "public.local")


def test_placement_of_the_settings():
    """Mode and percentage come from the environment, roles from the profile."""
    read = read_placement(load_settings({"STORAGE_MODE": "hybrid", "S3_SPLIT_PERCENTAGE": "25"}))
    assert (read.mode, read.split_percentage) == ("hybrid", 25)
    assert read.stores_of("anything") == ("s3", "local")
