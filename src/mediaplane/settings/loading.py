"""Reading the settings of a process: which of many places a value comes from."""

import os
from collections.abc import Mapping
from typing import Any

from mediaplane.environment import Found, amazon_source, find_value, means_own_bucket
from mediaplane.errors import SettingInvalid
from mediaplane.media.quotas import read_plans
from mediaplane.profile import Profile, StoreSettings, merge_layout, read_placement, read_profile, read_stores
from mediaplane.settings.declared import DEFAULT_BUCKET, Settings, described

_LOOPBACK = ("127.0.0.1", "::1", "localhost")
_KEYS = ("s3_access_key_id", "s3_secret_access_key", "s3_session_token", "s3_session_expires")


def load_settings(environ: Mapping[str, str] | None = None, *, role: str = "") -> Settings:
    """Return the settings of this process; `role` is one of gateway, worker, scanner, or none.

    Raises:
        SettingInvalid: a value is not allowed, two variables contradict each other, or the profile is missing or has
            an unknown entry.
    """
    env = os.environ if environ is None else environ
    known = {entry.metadata["variable"] for entry in described()}
    profile = read_profile(env.get("MEDIAPLANE_PROFILE") or "cortana-vision", env.get("MEDIAPLANE_ENV", ""), known)
    found = _find_values(profile, env, role)
    values = {entry.name: _read(entry.metadata, found[entry.name]) for entry in described() if entry.name in found}
    _check_address(values)
    stores = read_stores(profile, env, role)
    for store in stores:
        _check_store(profile, store)
    placement = read_placement(profile, stores)
    sources = {entry.name: "default" for entry in described()} | {name: one.source for name, one in found.items()}
    sources |= {f"stores.{store.name}.{name}": source for store in stores for name, source in store.sources.items()}
    return Settings(
        **values,
        profile=profile.name,
        layout=merge_layout(profile.layout, stores, placement, values.get("s3_prefix", "")),
        stores=stores,
        placement=placement,
        views=profile.views,
        bucket=profile.bucket,
        plans=_check_plans(profile),
        sources=sources,
    )


def _check_address(values: Mapping[str, Any]) -> None:
    """Refuse to be reached from elsewhere while whoever reaches the gateway owns everything."""
    host = values.get("gateway_host", _LOOPBACK[0])
    if host not in _LOOPBACK and not values.get("auth"):
        problem = f"must be one of {', '.join(_LOOPBACK)} while MEDIAPLANE_AUTH is off, not {host!r}"
        raise SettingInvalid("MEDIAPLANE_HOST", problem)


def _check_store(profile: Profile, store: StoreSettings) -> None:
    """Read what a store says as the settings of the same name are read."""
    readers = {entry.name: entry.metadata["read"] for entry in described()}
    for name in ("endpoint", "provider", "addressing", "public_url", "cdn_url", "cdn_keys"):
        if value := getattr(store, name):
            try:
                readers[f"s3_{name}"](value)
            except ValueError as error:
                source = store.sources[name]
                known = source if source.startswith("profile ") else f"profile {profile.name} [stores.{store.name}]"
                raise SettingInvalid(name if known == source else source, f"{error} (in {known})") from error


def _check_plans(profile: Profile) -> Mapping[str, Any]:
    """Return the plans, which can be read: a mistyped limit must not come to light with somebody's upload."""
    try:
        read_plans(profile.plans)
    except ValueError as error:
        raise SettingInvalid("MEDIAPLANE_PROFILE", f"{profile.name} {error}") from error
    return profile.plans


def _find_values(profile: Profile, env: Mapping[str, str], role: str) -> dict[str, Found]:
    """Return what environment and profile say, by field; defaults are left out."""
    written = [profile.settings.get(name) or profile.environment.get(name) for name in ("S3_ENDPOINT", "S3_PROVIDER")]
    ambient = means_own_bucket(env) or any(written)
    found: dict[str, Found] = {}
    for entry in described():
        meta = entry.metadata
        value = find_value(meta["names"], env, role=role, ambient=ambient)
        if value := value or _in_profile(profile, meta["variable"], env):
            found[entry.name] = value
    _keep_keys_together(found)
    _derive_amazon(found, env)
    for name in ("s3_bucket_in", "s3_bucket_out"):
        found.setdefault(name, found.get("s3_bucket", Found(DEFAULT_BUCKET, "default")))
    return found


def _in_profile(profile: Profile, variable: str, env: Mapping[str, str]) -> Found | None:
    chosen = env.get("MEDIAPLANE_ENV") or profile.settings.get("MEDIAPLANE_ENV", "dev")
    for source, values in (
        (f"profile {profile.name} [environments.{chosen}]", profile.environment),
        (f"profile {profile.name}", profile.settings),
    ):
        if values.get(variable) not in (None, ""):
            return Found(values[variable], source)
    return None


def _keep_keys_together(found: dict[str, Found]) -> None:
    """Drop the shell's secret or token where the access key is our own: keys of two accounts never mix."""
    given = [found[name] for name in _KEYS[:2] if name in found]
    if any(not value.ambient for value in given) or not given:
        for name in _KEYS:
            if name in found and found[name].ambient:
                del found[name]


def _derive_amazon(found: dict[str, Found], env: Mapping[str, str]) -> None:
    """Fill in Amazon's endpoint where Amazon is meant and none is set.

    Source: AWS General Reference, "Amazon Simple Storage Service endpoints and quotas".
    """
    if "s3_endpoint" in found:
        return
    if "s3_provider" not in found and (source := amazon_source(env)):
        found["s3_provider"] = Found("aws", source)
    if (provider := found.get("s3_provider")) and provider.value == "aws":
        region = found["s3_region"].value if "s3_region" in found else "us-east-1"
        domain = "amazonaws.com.cn" if region.startswith("cn-") else "amazonaws.com"
        found["s3_endpoint"] = Found(f"https://s3.{region}.{domain}", provider.source)
    elif provider and env.get("S3_PROVIDER"):
        raise SettingInvalid(
            "S3_ENDPOINT", f"must be set: S3_PROVIDER is {provider.value}, but nothing says where it is"
        )


def _read(meta: Mapping[str, Any], found: Found) -> Any:
    in_profile = found.source.startswith("profile")
    try:
        return meta["read"](found.value)
    except ValueError as error:
        name = meta["variable"] if in_profile else found.source
        raise SettingInvalid(name, f"{error}" + (f" (in {found.source})" if in_profile else "")) from error
