"""A profile: one TOML file with a deployment's settings, key layout, stores, and which role goes to which store.

    [stores.raw]
    bucket = "xum-raw-submissions"          # every entry but `tier` may come from a variable instead, which wins:
    bucket_variable = "RAW_BUCKET"          # one name, or a list of which two may not contradict each other
    tier = "private"                        # or "public": its objects have CDN URLs, joined to `public_url`
    cdn_url = "https://media.example.com"   # a private store's CDN, which checks links: docs/downloads.md
    cdn_keys_variable = "RAW_CDN_KEYS"      # with what they are signed
    prefix = "2025"                         # stands before every key, or where templates say {prefix}
    endpoint, provider, region, addressing  # where it is not on the S3_ENDPOINT
    access_key_id_variable = "RAW_KEY"      # keys come from variables only (or NAME_FILE): a profile holds no secrets
    local_dir = "/srv/media"                # of its local twin

    [stores.raw.layout]                     # for the roles that are placed here, before [layout]
    original = "{asset_id}/original.{ext}"

    [placement]
    default = "processed"
    original = "raw"

    [plans.free]                            # what users may use: docs/quotas.md

    [bucket]                                # settings of the buckets: docs/buckets.md
    [bucket.stores.raw]                     # where this store's differ

What a store does not say is taken from the S3_* settings. Without [stores] there is one, `s3`.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from importlib.resources import files
from pathlib import Path
from typing import Any

from mediaplane.environment import Found, Names, find_value
from mediaplane.errors import InvalidKey, SettingInvalid
from mediaplane.media.keys import ROLES, Layout, check_key

DEFAULT_STORE = "s3"
TIERS = ("private", "public")
_KEYS = ("access_key_id", "secret_access_key", "session_token", "session_expires")
_SECRETS = (*_KEYS, "cdn_keys")  # what comes from variables only
_PREFIX = "{prefix}"  # in a template
_PLAIN = ("bucket", "prefix", "public_url", "cdn_url", "endpoint", "provider", "region", "addressing", "local_dir")


@dataclass(frozen=True, slots=True)
class StoreSettings:
    """One store as profile and environment describe it; empty: as the S3_* settings say."""

    name: str
    tier: str = "private"
    bucket: str = ""
    prefix: str = ""
    public_url: str = ""
    cdn_url: str = ""
    cdn_keys: str = field(default="", repr=False)
    endpoint: str = ""
    provider: str = ""
    region: str = ""
    addressing: str = ""
    local_dir: str = ""
    access_key_id: str = ""
    secret_access_key: str = field(default="", repr=False)
    session_token: str = field(default="", repr=False)
    session_expires: str = ""
    layout: Mapping[str, str] = field(default_factory=dict)
    sources: Mapping[str, str] = field(default_factory=dict)  # field name to where its value came from

    @property
    def twin(self) -> str:
        """The name of the directory that stands for it while STORAGE_MODE is local."""
        return "local" if self.name == DEFAULT_STORE else f"{self.name}.local"

    def with_keys_of(self, other: "StoreSettings") -> "StoreSettings":
        """Return this store with the other's keys, if it has any."""
        if not other.access_key_id:
            return self
        sources = {name: source for name, source in self.sources.items() if name not in _KEYS}
        sources |= {name: source for name, source in other.sources.items() if name in _KEYS}
        return replace(self, **{name: getattr(other, name) for name in _KEYS}, sources=sources)


@dataclass(frozen=True, slots=True)
class Profile:
    """What stands in the file, with the part of one environment laid over it."""

    name: str
    settings: Mapping[str, Any]
    environment: Mapping[str, Any]  # settings of [environments.NAME]
    layout: Mapping[str, str]
    stores: Mapping[str, Mapping[str, Any]]
    placement: Mapping[str, str]
    views: tuple[str, ...]
    bucket: Mapping[str, Any] = field(default_factory=dict)  # `[bucket]`, read by `storage/bucket/rules.py`
    plans: Mapping[str, Any] = field(default_factory=dict)  # `[plans]`, read by `media/quotas.py`


def read_profile(name: str, environment: str, known: set[str]) -> Profile:
    """Return the shipped profile of this name, or the one in the file `name`.

    `environment` is empty where the profile's own MEDIAPLANE_ENV says which part counts; `known` are all settings.

    Raises:
        SettingInvalid: there is none, or it has an entry nobody knows.
    """
    found = _parse(name)
    chosen = environment or str(found.get("settings", {}).get("MEDIAPLANE_ENV", "dev"))
    environments = found.get("environments", {})
    _refuse_unknown(name, "settings", found.get("settings", {}), known)
    for section, entries in environments.items():
        _refuse_unknown(name, f"environments.{section}", entries, known | {"stores", "bucket", "plans"})
    part = environments.get(chosen, {})
    own = found.get("stores", {})
    return Profile(
        name=name,
        settings=found.get("settings", {}),
        environment={entry: value for entry, value in part.items() if entry not in ("stores", "bucket", "plans")},
        layout=found.get("layout", {}),
        stores={store: {**entries, **part.get("stores", {}).get(store, {})} for store, entries in own.items()},
        placement=found.get("placement", {}),
        views=tuple(found.get("views", {}).get("names", ())),
        bucket={**found.get("bucket", {}), **part.get("bucket", {})},
        plans={**found.get("plans", {}), **part.get("plans", {})},
    )


def read_stores(profile: Profile, environ: Mapping[str, str], role: str) -> tuple[StoreSettings, ...]:
    """Return the profile's stores with what the environment says about them.

    Raises:
        SettingInvalid: an entry is unknown or wrong, or two variables contradict each other.
    """
    if not profile.stores:
        return (StoreSettings(DEFAULT_STORE),)
    return tuple(_read_store(profile, name, entries, environ, role) for name, entries in profile.stores.items())


def read_placement(profile: Profile, stores: tuple[StoreSettings, ...]) -> dict[str, str]:
    """Return which store each role goes to; `default` is for all roles that are not named.

    Raises:
        SettingInvalid: a role or store is unknown, or it is not said where the rest goes.
    """
    names = [store.name for store in stores]
    for role, store in profile.placement.items():
        if role not in (*ROLES, "default"):
            raise _wrong(profile, f"[placement] has an unknown role {role}; there are {', '.join(ROLES)} and default")
        if store not in names:
            raise _wrong(profile, f"[placement] puts {role} into {store!r}; the stores are {', '.join(names)}")
    if len(names) > 1 and "default" not in profile.placement:
        raise _wrong(profile, "[placement] must name a `default` store for the roles it does not name")
    return {"default": names[0], **profile.placement}


def merge_layout(
    layout: Mapping[str, str], stores: tuple[StoreSettings, ...], placement: Mapping[str, str], prefix: str
) -> Layout:
    """Return the layout of all roles: each store's own templates, its prefix where they say {prefix}, else in front."""
    by_name = {store.name: store for store in stores}
    templates = {**layout, **{role: template for store in stores for role, template in store.layout.items()}}
    in_front = not any(_PREFIX in template for template in templates.values())
    merged: dict[str, str] = {}
    for role in templates:
        store = by_name[placement.get(role, placement["default"])]
        if template := store.layout.get(role) or layout.get(role):
            stands = store.prefix or prefix
            merged[role] = stands + template if in_front else template.replace(_PREFIX, stands)
    return Layout(merged)


def read_prefix(value: Any) -> str:
    """Return a prefix of keys with one "/" behind it, or nothing.

    Raises:
        ValueError: no key may begin so.
    """
    text = str(value).strip("/")
    if "{" in text or "}" in text:
        raise ValueError(f"must be a plain folder without fields, not {text!r}")
    try:
        return f"{check_key(text)}/" if text else ""
    except InvalidKey as error:
        raise ValueError(f"must be the beginning of a key: {error.message}") from error


def _read_store(
    profile: Profile, name: str, entries: Mapping[str, Any], environ: Mapping[str, str], role: str
) -> StoreSettings:
    where = f"[stores.{name}]"
    allowed = {"tier", "layout", *_PLAIN, *(f"{entry}_variable" for entry in (*_PLAIN, *_SECRETS))}
    # a table is somebody else's: bucket settings read theirs from `Profile.stores`
    if unknown := sorted(entry for entry in set(entries) - allowed if not isinstance(entries[entry], dict | list)):
        raise _wrong(profile, f"{where} has unknown entries: {', '.join(unknown)}")
    if name == "local" or not name.replace("-", "").replace("_", "").isalnum():
        raise _wrong(profile, f"{where}: a store's name has letters, digits, - and _, and is not `local`")
    tier = entries.get("tier", "private")
    if tier not in TIERS:
        raise _wrong(profile, f"{where} tier must be one of {', '.join(TIERS)}, not {tier!r}")
    values: dict[str, str] = {}
    sources: dict[str, str] = {}
    for entry in (*_PLAIN, *_SECRETS):
        if found := _find_entry(entries, entry, environ, role):
            values[entry], sources[entry] = found.value, found.source
        elif entries.get(entry):
            values[entry], sources[entry] = str(entries[entry]), f"profile {profile.name} {where}"
    try:
        values["prefix"] = read_prefix(values.get("prefix", ""))
    except ValueError as error:
        raise _wrong(profile, f"{where} prefix {error}") from error
    return StoreSettings(name, tier, **values, layout=entries.get("layout", {}), sources=sources)


def _find_entry(entries: Mapping[str, Any], entry: str, environ: Mapping[str, str], role: str) -> Found | None:
    variables = entries.get(f"{entry}_variable", [])
    own = tuple([variables] if isinstance(variables, str) else variables)
    names = Names(own=own, per_role=entry in _KEYS, secret=entry in _SECRETS)
    return find_value(names, environ, role=role)


def _parse(name: str) -> dict[str, Any]:
    shipped = files("mediaplane") / "profiles" / f"{name}.toml"
    path = Path(name)
    if name.endswith(".toml"):
        if not path.is_file():
            raise SettingInvalid("MEDIAPLANE_PROFILE", f"there is no file {name}")
        text = path.read_text()
    elif shipped.is_file():
        text = shipped.read_text()
    else:
        known = sorted(entry.name.removesuffix(".toml") for entry in (files("mediaplane") / "profiles").iterdir())
        raise SettingInvalid("MEDIAPLANE_PROFILE", f"must be a .toml file or one of {', '.join(known)}, not {name!r}")
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise SettingInvalid("MEDIAPLANE_PROFILE", f"{name} is no TOML: {error}") from error


def _refuse_unknown(name: str, section: str, entries: Mapping[str, Any], known: set[str]) -> None:
    if unknown := sorted(set(entries) - known):
        raise SettingInvalid("MEDIAPLANE_PROFILE", f"{name} [{section}] has unknown settings: {', '.join(unknown)}")


def _wrong(profile: Profile, problem: str) -> SettingInvalid:
    return SettingInvalid("MEDIAPLANE_PROFILE", f"{profile.name} {problem}")


ENTRIES = tuple(entry.name for entry in fields(StoreSettings) if entry.name not in ("layout", "sources"))
