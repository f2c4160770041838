"""Named SQL, kept in `catalog/sql/*.sql`, so that it can be read, formatted and tried as SQL."""

import re
from collections.abc import Mapping
from dataclasses import fields
from functools import cache
from importlib.resources import files
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from psycopg import sql

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

_HEAD = re.compile(r"^-- name: (?P<name>[a-z][a-z0-9_]*)\n-- (?P<description>\S.*)\n", re.MULTILINE)


@cache
def load_queries(name: str) -> Mapping[str, sql.SQL]:
    """Return the queries of `catalog/sql/{name}.sql` by their names.

    A query begins with `-- name: what_it_is` and a line `-- what it does`; it ends where the next begins.

    Raises:
        ValueError: the file has no query, a query without its description, or a name twice: a fault of ours.
    """
    text = (files("mediaplane") / "catalog" / "sql" / f"{name}.sql").read_text()
    heads = list(_HEAD.finditer(text))
    if not heads or len(heads) != text.count("-- name:"):
        raise ValueError(f"{name}.sql: each query needs the lines `-- name: …` and `-- description`")
    ends = [head.start() for head in heads[1:]] + [len(text)]
    queries = {head["name"]: sql.SQL(text[head.end() : end].strip()) for head, end in zip(heads, ends, strict=True)}
    if len(queries) != len(heads):
        raise ValueError(f"{name}.sql: a name stands twice")
    return MappingProxyType(queries)


def values_of(row: "DataclassInstance") -> dict[str, Any]:
    """Return a row's fields as a query's values; `asdict` copies them deeply, which takes ten times as long."""
    return {field.name: getattr(row, field.name) for field in fields(row)}
