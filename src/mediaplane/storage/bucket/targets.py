"""Which buckets the settings name, and what each is to be like: stores that share a bucket share its settings."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mediaplane.errors import SettingInvalid
from mediaplane.media.keys import Layout
from mediaplane.profile import StoreSettings
from mediaplane.settings import Settings
from mediaplane.storage.bucket.rules import BucketRules, read_rules
from mediaplane.storage.bucket.wanted import Wanted, want
from mediaplane.storage.endpoint import S3Endpoint, endpoint_url, read_endpoint

EMBEDDED = "embedded SeaweedFS"  # the source of an endpoint that is our own server's


@dataclass(frozen=True, slots=True)
class Target:
    """One bucket with the stores that keep their objects in it."""

    stores: tuple[str, ...]
    endpoint: S3Endpoint
    rules: BucketRules
    layout: Layout  # the roles that are kept in it
    public: bool
    embedded: bool  # on the server that `mediaplane up` started, which nobody else uses

    @property
    def wanted(self) -> Wanted:
        """Return what the bucket is to be like."""
        provider = self.endpoint.provider
        return want(self.rules, self.layout, provider, bucket=self.endpoint.bucket, public=self.public)


def read_targets(settings: Settings, *, only: str = "") -> list[Target]:
    """Return the buckets of all stores that have one, or of one store.

    Raises:
        SettingInvalid: `[bucket]` is wrong, or two stores want different things of one bucket.
    """
    _check_names(settings, [store.name for store in settings.stores])
    found: dict[tuple[str, str], Target] = {}
    for store in settings.stores:
        if not endpoint_url(settings, store):
            continue
        target = _read_target(settings, store)
        place = (target.endpoint.url, target.endpoint.bucket)
        found[place] = _joined(found[place], target) if place in found else target
    return [target for target in found.values() if not only or only in target.stores]


def read_store_rules(settings: Settings, store: str) -> BucketRules:
    """Return the rules of one store's bucket, or of the directory that stands for it.

    Raises:
        SettingInvalid: an entry of `[bucket]` is unknown or wrong.
    """
    section = {name: value for name, value in settings.bucket.items() if name != "stores"}
    own: Mapping[str, Any] = settings.bucket.get("stores", {}).get(store, {})
    where = f"[bucket] and [bucket.stores.{store}]" if own else "[bucket]"
    clip_days = settings.clip_expiry.total_seconds() / 86_400
    return read_rules({**section, **own}, settings.layout, where=where, clip_days=clip_days)


def roles_of(settings: Settings, store: str) -> Layout:
    """Return the layout's part that is kept in a store."""
    placed = settings.placement
    return Layout(
        {
            role: template
            for role, template in settings.layout.templates.items()
            if placed.get(role, placed["default"]) == store
        }
    )


def probe_prefix(settings: Settings, store: str) -> str:
    """Return where an object may be written to try a store out: below a prefix of its own, or where its keys may write.

    Raises:
        SettingInvalid: an entry of `[bucket]` is unknown or wrong.
    """
    if read_store_rules(settings, store).keys != "objects":
        return ""
    layout = roles_of(settings, store)
    return next((layout.prefix(role) for role in layout.templates), "")


def _read_target(settings: Settings, store: StoreSettings) -> Target:
    return Target(
        stores=(store.name,),
        endpoint=read_endpoint(settings, store.name),
        rules=read_store_rules(settings, store.name),
        layout=roles_of(settings, store.name),
        public=store.tier == "public",
        embedded=not store.endpoint and settings.sources.get("s3_endpoint") == EMBEDDED,
    )


def _joined(one: Target, other: Target) -> Target:
    both = f"{one.stores[-1]} and {other.stores[0]}"
    if one.rules != other.rules or one.public != other.public:
        raise SettingInvalid(
            "[bucket.stores]",
            f"{both} are in one bucket, {one.endpoint.bucket}, and want different settings or tiers of it",
        )
    templates = {**one.layout.templates, **other.layout.templates}
    return Target((*one.stores, *other.stores), one.endpoint, one.rules, Layout(templates), one.public, one.embedded)


def _check_names(settings: Settings, names: list[str]) -> None:
    if unknown := sorted(set(settings.bucket.get("stores", {})) - set(names)):
        raise SettingInvalid("[bucket.stores]", f"has unknown stores: {', '.join(unknown)}")
