"""Many objects at once: copy, sync, list, count and remove, faster than one after the other and never half.

    from mediaplane.storage import bulk

    summary = bulk.sync("recordings/", "s3://bucket/in", delete=True)

The functions stand in `commands.py` and are loaded when first used.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mediaplane.storage.bulk.commands import (
        buckets,
        carry_out,
        copy,
        ls,
        presign,
        read,
        remove,
        sync,
        upload_stream,
        usage,
    )
    from mediaplane.storage.bulk.comparing import Compare
    from mediaplane.storage.bulk.removal import remove_incomplete
    from mediaplane.storage.bulk.work import Event, Options, Summary

_MODULES = {
    "commands": ("buckets", "carry_out", "copy", "ls", "presign", "read", "remove", "sync", "upload_stream", "usage"),
    "comparing": ("Compare",),
    "removal": ("remove_incomplete",),
    "work": ("Event", "Options", "Summary"),
}

__all__ = [
    "Compare",
    "Event",
    "Options",
    "Summary",
    "buckets",
    "carry_out",
    "copy",
    "ls",
    "presign",
    "read",
    "remove",
    "remove_incomplete",
    "sync",
    "upload_stream",
    "usage",
]


def __getattr__(name: str) -> object:
    from importlib import import_module

    for module, names in _MODULES.items():
        if name in names:
            return getattr(import_module(f"{__name__}.{module}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
