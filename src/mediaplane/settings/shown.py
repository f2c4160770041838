"""Settings as people read them: with where each came from, secrets masked."""

from collections.abc import Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

from mediaplane.environment import FILE, Names
from mediaplane.profile import DEFAULT_STORE, ENTRIES, StoreSettings
from mediaplane.settings.declared import Settings, described

_MASK = "********"


def describe(settings: Settings) -> list[dict[str, Any]]:
    """Return one `{"setting", "value", "source", "doc"}` for each setting, secrets masked.

    Stores that a profile describes follow, each with what it says for itself.
    """
    rows = [
        {
            "setting": entry.metadata["variable"],
            "value": _shown(entry.metadata, getattr(settings, entry.name)),
            "source": settings.sources.get(entry.name, "default"),
            "doc": entry.metadata["doc"],
        }
        for entry in described()
    ]
    return [*rows, *_describe_stores(settings)]


def _describe_stores(settings: Settings) -> Iterator[dict[str, Any]]:
    for store in settings.stores if settings.stores != (StoreSettings(DEFAULT_STORE),) else ():
        for name in ENTRIES:
            value = getattr(store, name)
            if value and name != "name":
                secret = name in ("secret_access_key", "session_token", "cdn_keys")
                source = store.sources.get(name, "profile " + settings.profile)
                yield {
                    "setting": f"stores.{store.name}.{name}",
                    "value": _MASK if secret else value,
                    "source": source,
                    "doc": f"of the store {store.name}",
                }


def other_names(settings_variable: str) -> tuple[str, ...]:
    """Return the other variables that may give a setting, in the order in which they count."""
    names: Names = next(e.metadata["names"] for e in described() if e.metadata["variable"] == settings_variable)
    secret_file = (f"{settings_variable}{FILE}",) if names.secret else ()
    return (*names.own[1:], *secret_file, *(name for name, _ in names.derived), *names.ambient)


def _shown(meta: Mapping[str, Any], value: Any) -> Any:
    if meta["secret"]:
        return _MASK if value else ""
    if isinstance(value, timedelta):
        return f"{value / timedelta(**{meta['variable'].rpartition('_')[2].lower(): 1}):g}"  # …_DAYS, …_MINUTES
    if isinstance(value, tuple):
        return ",".join(str(_shown(meta, part)) for part in value)
    return str(value) if isinstance(value, Path) else value
