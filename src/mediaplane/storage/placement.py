"""Where new bytes go: pure, from mode, percentage and role.

The mode decides where to write; a row says where its bytes are. So changing any of this moves nothing and hides
nothing. Every store has a local twin, a directory that takes its place while the mode is `local`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import blake2b

from mediaplane.settings import Settings

_HASH_BYTES = 8


@dataclass(frozen=True, slots=True)
class Placement:
    """Which store each role of each asset is written to."""

    mode: str  # local, s3, hybrid
    split_percentage: float  # of assets that go to buckets while the mode is hybrid
    roles: Mapping[str, str]  # role to store; `default` for all others
    twins: Mapping[str, str]  # store to the directory in its place

    def store_for(self, asset_id: str, role: str) -> str:
        """Return the store's name; the same asset always goes the same way, and a higher percentage keeps it there."""
        store = self.roles.get(role, self.roles["default"])
        return store if self.uses_buckets(asset_id) else self.twins[store]

    def stores_of(self, role: str) -> tuple[str, str]:
        """Return both stores in which objects of the role may be, whatever the mode is or was."""
        store = self.roles.get(role, self.roles["default"])
        return store, self.twins[store]

    def uses_buckets(self, asset_id: str) -> bool:
        """Return whether the asset's new objects go to buckets."""
        if self.mode != "hybrid":
            return self.mode == "s3"
        digest = blake2b(asset_id.encode(), digest_size=_HASH_BYTES).digest()
        return int.from_bytes(digest) * 100 < self.split_percentage * (1 << 8 * _HASH_BYTES)


def read_placement(settings: Settings) -> Placement:
    """Return the placement of the settings."""
    return Placement(
        mode=settings.storage_mode,
        split_percentage=settings.s3_split_percentage,
        roles=settings.placement,
        twins={store.name: store.twin for store in settings.stores},
    )
