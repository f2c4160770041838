"""Environment variables: by which of several names a setting may be given, and which of them counts.

Deployments came with names of their own (`R2_BUCKET_NAME`, `S3_MEDIA_BUCKET`, `AWS_REGION`); each is read as it is
written there. In order, first wins: the names with the role in front (`WORKER_S3_BUCKET`), the product's own names
(`S3_…`, `R2_…`), what follows from another variable (`R2_ACCOUNT_ID`), then the names that a shell has for every
program (`AWS_…`). Two names of one rank that say different things are an error.

The last rank counts only where the environment says that a bucket of one's own is meant: keys for Amazon in a
developer's shell must not make a trial run write to Amazon.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from mediaplane.errors import SettingInvalid

FILE = "_FILE"  # `S3_SECRET_ACCESS_KEY_FILE`: the path of a file with the value, as container secrets come
# Whoever sets one of these means a bucket of their own.
OWN_ENDPOINT = ("S3_ENDPOINT", "S3_ENDPOINT_URL", "R2_ENDPOINT_URL", "R2_ACCOUNT_ID", "S3_PROVIDER", "S3_CREDENTIALS")
# The bucket of a deployment that has `AWS_…` for its keys and, on Amazon itself, no endpoint.
AMAZON_BUCKETS = ("S3_MEDIA_BUCKET", "S3_BUCKET_IN", "S3_BUCKET_OUT")
AMAZON_KEYS = (
    "AWS_ACCESS_KEY_ID",
    "AWS_PROFILE",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
)


@dataclass(frozen=True, slots=True)
class Names:
    """The variables that may give one setting."""

    own: tuple[str, ...]  # of one rank: two that differ are an error
    derived: tuple[tuple[str, str], ...] = ()  # variable, and what follows from its value, with {value} in it
    ambient: tuple[str, ...] = ()  # of other programs too; the first that is set counts
    per_role: bool = False
    secret: bool = False


@dataclass(frozen=True, slots=True)
class Found:
    """A value and where it came from."""

    value: str
    source: str
    ambient: bool = False


def find_value(names: Names, environ: Mapping[str, str], *, role: str = "", ambient: bool = False) -> Found | None:
    """Return the value that counts, or None where no variable gives one; `ambient` lets the last rank count.

    Raises:
        SettingInvalid: two variables of one rank differ, or a secret's file cannot be read.
    """
    if role and names.per_role and (found := _agreed([f"{role.upper()}_{name}" for name in names.own], names, environ)):
        return found
    if found := _agreed(names.own, names, environ):
        return found
    for name, template in names.derived:
        if value := environ.get(name):
            return Found(template.format(value=value), name)
    if ambient:
        for name in names.ambient:
            if value := environ.get(name):
                return Found(value, name, ambient=True)
    return None


def means_own_bucket(environ: Mapping[str, str]) -> bool:
    """Return whether a variable says that buckets of one's own are meant, so that `AWS_…` count."""
    return any(environ.get(name) for name in (*OWN_ENDPOINT, *AMAZON_BUCKETS))


def amazon_source(environ: Mapping[str, str]) -> str:
    """Return the two variables that together mean Amazon S3 where no endpoint is set; empty where none do."""
    bucket = next((name for name in AMAZON_BUCKETS if environ.get(name)), "")
    keys = next((name for name in AMAZON_KEYS if environ.get(name)), "")
    return f"{bucket} with {keys}" if bucket and keys else ""


def _agreed(candidates: Iterable[str], names: Names, environ: Mapping[str, str]) -> Found | None:
    given = [found for name in candidates for found in _given(name, names, environ)]
    for other in given[1:]:
        if _comparable(other, names) != _comparable(given[0], names):
            both = f"{given[0].source} and {other.source}"
            raise SettingInvalid(both, "they contradict each other: set one of them, or both to the same value")
    return given[0] if given else None


def _comparable(found: Found, names: Names) -> str:
    return found.value if names.secret else found.value.rstrip("/")  # of URLs and folders


def _given(name: str, names: Names, environ: Mapping[str, str]) -> Iterable[Found]:
    if value := environ.get(name):
        yield Found(value, name)
    if names.secret and (path := environ.get(name + FILE)):
        yield Found(_read_file(name + FILE, path), name + FILE)


def _read_file(variable: str, path: str) -> str:
    try:
        value = Path(path).read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise SettingInvalid(variable, f"the file {path} cannot be read ({error})") from error
    if not value:
        raise SettingInvalid(variable, f"the file {path} is empty")
    return value
