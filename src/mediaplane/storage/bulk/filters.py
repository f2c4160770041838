"""Which names take part: `*` and `?` patterns, included or excluded in the order they were given.

Every pattern is matched against the whole path below the source, and `*` also matches `/`. The last pattern that
matches decides. What none matches takes part, unless the first pattern includes: then only what is included does
(`--include '*.mp4'` alone means what it says; for `aws s3` it would mean everything).
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

Matches = Callable[[str], object]


def compile_pattern(pattern: str) -> Matches:
    """Return a function that tells whether a whole name matches; `[` has no special meaning."""
    parts = {"*": ".*", "?": "."}
    expression = "".join(parts.get(char) or re.escape(char) for char in re.sub(r"\*+", "*", pattern))
    return re.compile(expression, re.DOTALL).fullmatch


@dataclass(frozen=True, slots=True)
class Filter:
    """Patterns in order; an empty one lets everything through."""

    rules: tuple[tuple[bool, Matches], ...] = ()  # takes part, matches

    def __bool__(self) -> bool:
        return bool(self.rules)

    def takes(self, name: str) -> bool:
        """Return whether what has this path below the source takes part."""
        for included, matches in reversed(self.rules):
            if matches(name):
                return included
        return not self.rules or not self.rules[0][0]


def read_filter(
    rules: Iterable[tuple[str, str]] = (), *, include: Iterable[str] = (), exclude: Iterable[str] = ()
) -> Filter:
    """Return the filter of `rules`, pairs of `include` or `exclude` and a pattern in order.

    For callers to whom the order does not matter: `exclude` comes after `include`, so that both have their way.
    """
    pairs = [*rules, *(("include", pattern) for pattern in include), *(("exclude", pattern) for pattern in exclude)]
    return Filter(tuple((kind == "include", compile_pattern(pattern)) for kind, pattern in pairs))
