"""What each S3 provider can do and wants: the one place that knows.

An ability is declared, never tried out at run time; where one is missing the code takes another way by itself, or says
which setting to change.
"""

from dataclasses import dataclass
from urllib.parse import urlsplit


@dataclass(frozen=True, slots=True)
class Provider:
    """The abilities of one provider; what is true for most of them is the default."""

    name: str
    hosts: tuple[str, ...] = ()  # endings of the endpoint's host name
    virtual_host: bool = False  # the addressing it wants
    checksum_trailers: bool = False  # takes and returns x-amz-checksum-* headers
    equal_parts: bool = False  # refuses multipart uploads whose parts, but the last, differ in size
    post_policy: bool = True
    batch_delete: bool = True
    conditional_writes: bool = False  # If-None-Match and If-Match on PUT
    largest_part_bytes: int = 5 << 30
    storage_classes: tuple[str, ...] = ("STANDARD",)
    transfer_acceleration: bool = False


OTHER = Provider("other")
PROVIDERS = (OTHER,)


def find_provider(url: str, named: str = "") -> Provider:
    """Return the provider of an endpoint: the one that is named, else by its host name, else `other`."""
    host = (urlsplit(url).hostname or "").lower()
    for provider in PROVIDERS:
        if named == provider.name or (not named and host.endswith(provider.hosts or ("\0",))):
            return provider
    return OTHER
