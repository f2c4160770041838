"""How a setting is declared: a field of a dataclass that tells all about itself."""

from collections.abc import Callable
from dataclasses import field
from typing import Any

from mediaplane.environment import Names


def setting(
    variable: str,
    read: Callable[[Any], Any],
    default: Any,
    doc: str,
    *,
    also: tuple[str, ...] = (),
    derived: tuple[tuple[str, str], ...] = (),
    ambient: tuple[str, ...] = (),
    secret: bool = False,
    per_role: bool = False,
) -> Any:
    """Return the field; its metadata has variable, other names, reader and description."""
    names = Names((variable, *also), derived, ambient, per_role=per_role, secret=secret or per_role)
    meta = {"variable": variable, "names": names, "read": read, "doc": doc, "secret": secret}
    return field(default=default, metadata=meta)
