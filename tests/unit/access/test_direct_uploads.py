"""What is decided about an upload without asking anybody: parts, ways, names, tokens."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mediaplane.access.companion import CompanionTokens
from mediaplane.access.principals import Principal, Role
from mediaplane.access.verification import SaidPart, choose_parts
from mediaplane.access.wishes import PARTS_FROM_BYTES, Wish, choose_way, clean_name, key_fields
from mediaplane.catalog.direct_uploads import PARTS, PUT, DirectUpload
from mediaplane.errors import LinkInvalid, PartsInvalid, UploadIncomplete, UploadTooLarge
from mediaplane.media.keys import check_key
from mediaplane.storage.intake import (
    MAX_PART_BYTES,
    MAX_PARTS,
    MIN_PART_BYTES,
    Part,
    newest,
    plan_part_bytes,
)

NOON = datetime(2030, 1, 31, 12, tzinfo=UTC)
SOMEBODY = Principal("key:1", "anna", "team", Role.CONTRIBUTOR)


def upload_of(size_bytes: int | None, part_bytes: int | None) -> DirectUpload:
    return DirectUpload(
        upload_id="u", asset_id="a", owner="o", team="t", store="s3", key="k", state="open", size_bytes=size_bytes,
        digest=None, content_type="video/mp4", created_at=NOON, seen_at=NOON, completed_at=None, way=PARTS, name="n",
        store_ref="r", part_bytes=part_bytes, md5=None, write_once=True, reused=False, error_code=None,
        error_message=None, busy_until=None, checked_at=None, recheck_at=None,
    )  # fmt: skip


def part(number: int, size_bytes: int, etag: str = "", second: int = 0) -> Part:
    return Part(number, size_bytes, etag or f'"{number}"', NOON + timedelta(seconds=second))


@given(st.integers(1, 5 * 10**13))
def test_plan_of_parts(size_bytes):
    """Equal parts in whole MiB, as few and as large as S3 allows, that make up the file exactly."""
    part_bytes = plan_part_bytes(size_bytes)
    upload = upload_of(size_bytes, part_bytes)
    assert MIN_PART_BYTES <= part_bytes <= MAX_PART_BYTES
    assert part_bytes % (1 << 20) == 0
    count = upload.part_count
    assert 1 <= count <= MAX_PARTS
    assert (count - 1) * part_bytes + upload.bytes_of_part(count) == size_bytes
    assert 0 < upload.bytes_of_part(count) <= part_bytes


@given(st.permutations([1, 2, 3]), st.permutations([1, 2, 3]))
def test_parts_in_any_order(there, said):
    """The order in which parts came or are named does not matter."""
    upload = upload_of(25, 10)
    parts = [part(number, upload.bytes_of_part(number)) for number in there]
    named = [SaidPart(number, str(number)) for number in said]
    assert [chosen.number for chosen in choose_parts(upload, parts, named)] == [1, 2, 3]
    assert choose_parts(upload, parts, None) == choose_parts(upload, parts, named)


def test_part_that_was_sent_twice():
    """The last write counts, unless the client names the etag of another that the store still has."""
    upload = upload_of(25, 10)
    parts = [part(1, 10), part(2, 10, '"new"', second=5), part(2, 10, '"old"'), part(3, 5)]
    assert newest(parts)[2].etag == '"new"'
    assert choose_parts(upload, parts, None)[1].etag == '"new"'
    said = [SaidPart(1, "1"), SaidPart(2, '"old"'), SaidPart(3, "3")]
    assert choose_parts(upload, parts, said)[1].etag == '"old"'


@pytest.mark.parametrize(
    "parts",
    [[], [part(1, 10), part(3, 5)], [part(1, 10), part(2, 9), part(3, 5)], [part(1, 10), part(2, 10), part(3, 0)]],
)
def test_parts_that_are_missing_or_short(parts):
    """Such an upload is not complete."""
    with pytest.raises(UploadIncomplete):
        choose_parts(upload_of(25, 10), parts, None)


def test_parts_beyond_the_plan():
    """A fourth part of three is refused, not dropped."""
    with pytest.raises(PartsInvalid):
        choose_parts(upload_of(25, 10), [part(1, 10), part(2, 10), part(3, 5), part(4, 1)], None)


def test_parts_without_a_plan():
    """Where the client decides, parts must follow each other without a gap."""
    upload = upload_of(None, None)
    assert len(choose_parts(upload, [part(1, 7), part(2, 3)], None)) == 2
    with pytest.raises(UploadIncomplete):
        choose_parts(upload, [part(1, 7), part(3, 3)], None)
    with pytest.raises(UploadIncomplete):
        choose_parts(upload, [part(1, 0)], None)


def test_more_parts_than_there_can_be():
    """10,001 parts, part 0 and a number that stands twice are refused."""
    there = [part(1, 10)]
    for said in (
        [SaidPart(number, "x") for number in range(1, MAX_PARTS + 2)],
        [SaidPart(0, "x")],
        [SaidPart(1, "1"), SaidPart(1, "1")],
        [SaidPart(1, "2")],
    ):
        with pytest.raises(PartsInvalid):
            choose_parts(upload_of(None, None), there, said)


def test_way_of_a_file():
    """Large files go in parts, so that what is cut off is not sent again; a client may insist, up to 5 GiB."""
    assert choose_way(size_bytes=1, in_parts=None) == PUT
    assert choose_way(size_bytes=PARTS_FROM_BYTES, in_parts=None) == PARTS
    assert choose_way(size_bytes=1, in_parts=True) == PARTS
    assert choose_way(size_bytes=PARTS_FROM_BYTES, in_parts=False) == PUT
    with pytest.raises(UploadTooLarge):
        choose_way(size_bytes=(5 << 30) + 1, in_parts=False)


@given(st.text(max_size=300), st.sampled_from(["video/mp4", "image/png", "x/y"]))
def test_no_name_becomes_part_of_a_key(name, content_type):
    """Whatever the name, all that may stand in a key is harmless, and the shown name can be shown."""
    fields = key_fields(SOMEBODY, Wish(name, content_type, 1, PUT), "a1")
    assert check_key("/".join(fields.values())).isascii()
    assert fields["path"].startswith("uploads/a1/")
    shown = clean_name(name)
    assert shown.isprintable() and 0 < len(shown) <= 255 and "/" not in shown and "\\" not in shown


def test_companion_token():
    """It gives back who asked, with the right to upload only, until it ends."""
    clock = [NOON.timestamp()]
    tokens = CompanionTokens(b"secret", lifetime=timedelta(hours=1), now=lambda: clock[0])
    token, ends = tokens.make_token(SOMEBODY)
    assert ends == NOON + timedelta(hours=1)
    read = tokens.read_token(token)
    assert (read.owner, read.team, read.role, read.scopes) == ("anna", "team", Role.CONTRIBUTOR, frozenset({"upload"}))
    clock[0] += 3600
    with pytest.raises(LinkInvalid):
        tokens.read_token(token)


@given(st.integers(0, 200), st.integers(1, 127))
def test_companion_token_that_was_changed(position, change):
    """Any change of it opens nothing."""
    tokens = CompanionTokens(b"secret", lifetime=timedelta(hours=1))
    token, _ = tokens.make_token(SOMEBODY)
    at = position % len(token)
    changed = token[:at] + chr(ord(token[at]) ^ change) + token[at + 1 :]
    if changed.rstrip("=") != token:
        with pytest.raises(LinkInvalid):
            tokens.read_token(changed)


@pytest.mark.parametrize("token", ["", ".", "e30.", "a" * 1000, "e30.e30", "\udcff", "ü.ü"])
def test_companion_token_of_a_stranger(token):
    """Nor does anything else."""
    with pytest.raises(LinkInvalid):
        CompanionTokens(b"secret", lifetime=timedelta(hours=1)).read_token(token)
