"""Lines that stay on the screen where chunks meet become one, and nothing else does."""

from hypothesis import given
from hypothesis import strategies as st

from mediaplane.pipeline.merging import Row, find_joins

CHUNK_MS = 10_000


def row(number: int, chunk: int, start_ms: int, end_ms: int, text: str = "hello world", y: int = 20) -> Row:
    return Row(number, chunk, start_ms, end_ms, text, (20, y, 200, 20), 0.99)


def joined(rows: list[Row], boundaries_ms: list[int]) -> list[tuple[int, int, list[int]]]:
    return [(join.segment_id, join.t_end_ms, list(join.absorbed)) for join in find_joins(rows, boundaries_ms)]


def test_line_across_a_boundary_is_joined():
    """A line that ends where its chunk ends and begins where the next begins lives on."""
    assert joined([row(1, 0, 2000, 10_000), row(2, 1, 10_000, 12_000)], [10_000]) == [(1, 12_000, [2])]


def test_line_over_many_chunks_is_one_chain():
    """However many chunks a line crosses, the first row takes in all others."""
    rows = [row(number, number, number * CHUNK_MS, (number + 1) * CHUNK_MS) for number in range(5)]
    assert joined(rows, [CHUNK_MS * number for number in range(1, 5)]) == [(0, 50_000, [1, 2, 3, 4])]


def test_rows_a_little_off_the_boundary_are_joined():
    """The last look may be 0.3 s before the boundary, the first 0.7 s after it."""
    assert joined([row(1, 0, 0, 9_700), row(2, 1, 10_700, 15_000)], [10_000]) == [(1, 15_000, [2])]
    assert joined([row(1, 0, 0, 9_699), row(2, 1, 10_000, 15_000)], [10_000]) == []
    assert joined([row(1, 0, 0, 10_000), row(2, 1, 10_701, 15_000)], [10_000]) == []


def test_misread_letters_are_the_same_text():
    """A zero read as an O, a lost space or one wrong letter in ten does not part a line."""
    rows = [row(1, 0, 0, 10_000, "total 1000 rows"), row(2, 1, 10_000, 11_000, "total 1O00rows")]
    assert joined(rows, [10_000]) == [(1, 11_000, [2])]


def test_other_text_or_another_place_is_not_joined():
    """Text that changes at the boundary, and equal text somewhere else, stay apart."""
    assert joined([row(1, 0, 0, 10_000), row(2, 1, 10_000, 11_000, "good bye")], [10_000]) == []
    beside = Row(2, 1, 10_000, 11_000, "hello world", (400, 20, 200, 20), 0.99)
    assert joined([row(1, 0, 0, 10_000), beside], [10_000]) == []
    assert joined([row(1, 0, 0, 10_000, "hello"), row(2, 1, 10_000, 11_000, "hello", y=300)], [10_000]) == []


def test_text_that_differs_in_a_number_is_not_joined():
    """The next page, step or price is another text, however long the words around its number are."""
    rows = [
        row(1, 0, 0, 10_000, "Page number 2 of the handbook"),
        row(2, 1, 10_000, 12_000, "Page number 3 of the handbook"),
    ]
    assert joined(rows, [10_000]) == []


def test_line_that_scrolls_at_the_boundary_is_joined():
    """The same words further up the same column go on, but a line that stayed goes on with itself."""
    assert joined([row(1, 0, 0, 10_000, y=300), row(2, 1, 10_200, 11_000)], [10_000]) == [(1, 11_000, [2])]
    rows = [row(1, 0, 0, 10_000, y=300), row(2, 1, 10_000, 11_000), row(3, 1, 10_000, 12_000, y=300)]
    assert joined(rows, [10_000]) == [(1, 12_000, [3])]


def test_chunks_that_do_not_touch_are_not_joined():
    """A chunk without the line ends it."""
    assert joined([row(1, 0, 0, 10_000), row(2, 2, 20_000, 21_000)], [10_000, 20_000]) == []


def test_equal_lines_below_each_other_are_joined_each_with_itself():
    """A row is continued once, by the row at its own place."""
    rows = [row(1, 0, 0, 10_000, y=20), row(2, 0, 0, 10_000, y=32)]
    rows += [row(3, 1, 10_000, 11_000, y=32), row(4, 1, 10_000, 12_000, y=20)]
    assert joined(rows, [10_000]) == [(1, 12_000, [4]), (2, 11_000, [3])]


intervals = st.tuples(st.integers(0, 59_999), st.integers(1, 30_000)).map(lambda pair: (pair[0], pair[0] + pair[1]))


@given(st.lists(intervals, max_size=20), st.integers(1_000, 20_000))
def test_lines_cut_at_boundaries_are_whole_again(lines: list[tuple[int, int]], chunk_ms: int):
    """Whatever the chunk length, joining what was cut gives the lines back, each with its own start and end."""
    boundaries = list(range(chunk_ms, 90_001, chunk_ms))
    rows: dict[int, Row] = {}
    for place, (start_ms, end_ms) in enumerate(lines):
        for chunk in range(len(boundaries) + 1):
            begins, ends = max(start_ms, chunk * chunk_ms), min(end_ms, (chunk + 1) * chunk_ms)
            if begins < ends:
                number = len(rows)
                rows[number] = row(number, chunk, begins, ends, f"text of line {place}", y=place * 40)
    whole = {number: [part.t_start_ms, part.t_end_ms] for number, part in rows.items()}
    for join in find_joins(list(rows.values()), boundaries):
        whole[join.segment_id][1] = join.t_end_ms
        for number in join.absorbed:
            del whole[number]
    assert sorted(map(tuple, whole.values())) == sorted(lines)


@given(st.lists(st.tuples(st.integers(0, 3), intervals, st.sampled_from(["alpha beta", "gamma"]), st.integers(0, 2))))
def test_every_row_is_kept_or_absorbed_once(parts: list[tuple[int, tuple[int, int], str, int]]):
    """No row is absorbed twice, none is both kept and absorbed, and ends never move back."""
    rows = [row(n, chunk, start, end, text, y * 15) for n, (chunk, (start, end), text, y) in enumerate(parts)]
    joins = find_joins(rows, [15_000, 30_000, 45_000])
    absorbed = [number for join in joins for number in join.absorbed]
    assert len(absorbed) == len(set(absorbed))
    assert not set(absorbed) & {join.segment_id for join in joins}
    assert all(join.absorbed for join in joins)
    chunks = {part.id: part.chunk for part in rows}
    for join in joins:
        members = [chunks[join.segment_id], *(chunks[number] for number in join.absorbed)]
        assert members == list(range(members[0], members[0] + len(members)))
