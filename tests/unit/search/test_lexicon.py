"""Deletions: a misspelt word and the one that was meant share one."""

from hypothesis import given
from hypothesis import strategies as st
from rapidfuzz.distance import OSA

from mediaplane.catalog.lexicon import MIN_WORD_LETTERS, PREFIX_LETTERS, allowed_distance, deletions

WORDS = st.text(alphabet="abcde", min_size=MIN_WORD_LETTERS, max_size=12)


@given(WORDS, st.lists(st.tuples(st.sampled_from("dist"), st.integers(0, 11), st.sampled_from("abcdex")), max_size=2))
def test_deletions_of_words_near_each_other_meet(word, edits):
    """Any word within the allowed distance of a query shares a deletion with it: none is missed by the index."""
    typed = word
    for kind, place, letter in edits:
        at = min(place, len(typed))
        if kind == "d":
            typed = typed[:at] + typed[at + 1 :]
        elif kind == "i":
            typed = typed[:at] + letter + typed[at:]
        elif kind == "s":
            typed = typed[:at] + letter + typed[at + 1 :]
        else:
            typed = typed[:at] + typed[at : at + 2][::-1] + typed[at + 2 :]
    limit = allowed_distance(typed)
    if OSA.distance(word, typed) <= limit:
        stored = deletions(word, 2 if len(word) >= PREFIX_LETTERS else 1)
        assert stored & deletions(typed, limit)


def test_deletions_of_a_long_word_are_few():
    """The table stays small: at most 29 rows a word."""
    assert len(deletions("abcdefghijklmnop", 2)) == 29
