"""API keys as text: recognisable, checked before any database is asked, never stored."""

import hashlib

from hypothesis import given
from hypothesis import strategies as st

from mediaplane.access.keys import digest_key, is_same, make_key, read_key_id


def test_key_has_its_shape():
    """A key says what it is, has its id in it, and is stored as a hash only."""
    made = make_key()
    assert made.text.startswith(f"mp_{made.key_id}_")
    assert len(made.text) == 3 + 12 + 1 + 43 + 6
    assert read_key_id(made.text) == made.key_id
    assert made.digest == hashlib.sha256(made.text.encode()).digest()
    assert is_same(made.digest, made.text)


def test_keys_differ():
    """No two keys share id or secret."""
    keys = [make_key() for _ in range(200)]
    assert len({key.key_id for key in keys}) == len({key.text[16:] for key in keys}) == 200


@given(st.integers(0, 64), st.sampled_from("0aZ_é\x00"))
def test_key_typed_wrong(place, letter):
    """One letter that is wrong is noticed by the checksum, without asking for the key."""
    text = make_key().text
    place %= len(text)
    wrong = text[:place] + letter + text[place + 1 :]
    assert read_key_id(wrong) is None or wrong == text
    assert wrong == text or not is_same(digest_key(text), wrong)


@given(st.text(max_size=100))
def test_key_of_anything_else(text):
    """What is no key has no id."""
    assert read_key_id(text) is None
    assert read_key_id("mp_" + text) is None
