"""The servers that a process works on: those of one's own, or the embedded ones, found, started and made ready."""

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass

from mediaplane.embedded.postgres import EmbeddedPostgres
from mediaplane.embedded.running import Running, find_running, follow
from mediaplane.embedded.seaweed import EmbeddedSeaweed
from mediaplane.errors import MediaplaneError, NotRunning, StorageError
from mediaplane.settings import Settings
from mediaplane.storage.endpoint import endpoint_url


def prepare_buckets(settings: Settings) -> list[str]:
    """Make buckets that are missing and let browsers play from them; return remarks, none where all went well.

    While the mode is local nothing is written to them: what is wrong with one is a remark then.

    Raises:
        StorageError: a bucket cannot be used; the sentence says why and names the setting.
    """
    from mediaplane.storage.bucket.apply import prepare
    from mediaplane.storage.bucket.targets import read_targets
    from mediaplane.storage.connectivity import find_unusable

    remarks: list[str] = []
    local = settings.storage_mode == "local"
    wrong = find_unusable(settings, thorough=True)
    for target in read_targets(settings):
        unusable = not wrong.keys().isdisjoint(target.stores)
        if unusable and local:
            continue
        try:
            remarks += prepare(target)  # which may make the bucket, if that was the problem
        except MediaplaneError:
            if not unusable:
                raise
    for store, problem in (wrong if local or not wrong else find_unusable(settings, thorough=True)).items():
        if not local:
            raise StorageError("; ".join([f"store {store}: {problem}", *remarks]))
        remarks.append(f"store {store} cannot be read: {problem}")
    return remarks


def find_services(settings: Settings) -> Settings:
    """Fill in what the running `up` of the state directory knows where no servers of one's own are set.

    Raises:
        NotRunning: something is missing and no `up` runs there.
    """
    if settings.database_url and (settings.storage_mode == "local" or not needs_embedded_store(settings)):
        try:
            running = find_running(settings.state_dir) if needs_embedded_store(settings) else None
        except NotRunning:
            running = None  # nothing is missing but what an embedded server may hold of another mode
        if running is None or running.database_url != settings.database_url:
            return _with_public_url(settings)
    else:
        running = find_running(settings.state_dir)
    return follow(settings, running)


_OTHERS = (
    "local_dir",
    "s3_split_percentage",
    "s3_provider",
    "s3_bucket_in",
    "s3_bucket_out",
    "s3_prefix",
    "s3_public_url",
    "s3_cdn_url",
    "s3_cdn_keys",
    "s3_region",
    "s3_credentials",
    "s3_profile",
    "s3_session_token",
    "s3_session_expires",
    "s3_addressing",
    "s3_ca_file",
    "bucket",
    "plans",
)


def describe_running(settings: Settings, url: str) -> Running:
    """Return what an `up` with these settings tells other commands."""
    return Running(
        pid=os.getpid(),
        url=url,
        database_url=settings.database_url,
        storage_mode=settings.storage_mode,
        s3_endpoint=settings.s3_endpoint,
        s3_bucket=settings.s3_bucket,
        s3_access_key_id=settings.s3_access_key_id,
        s3_secret_access_key=settings.s3_secret_access_key,
        others={name: getattr(settings, name) for name in _OTHERS},
        stores=[asdict(store) for store in settings.stores],
        placement=dict(settings.placement),
        layout=dict(settings.layout.templates),
    )


@dataclass(frozen=True, slots=True)
class Services:
    """The servers a process works on; `settings` say where they are."""

    settings: Settings
    embedded: tuple[EmbeddedPostgres | EmbeddedSeaweed, ...]

    def revive(self) -> list[str]:
        """Start again every embedded server that died; return what they are."""
        dead = [server for server in self.embedded if not server.is_running()]
        for server in dead:
            server.start()
        return [type(server).__name__.removeprefix("Embedded") for server in dead]


@contextmanager
def open_services(settings: Settings) -> Iterator[Services]:
    """Start, or join, the embedded servers that the settings leave open; the last process out stops them.

    Raises:
        ServiceFailed: one did not start.
    """
    embedded: list[EmbeddedPostgres | EmbeddedSeaweed] = []
    with ExitStack() as stack:
        if not settings.database_url:
            postgres = stack.enter_context(EmbeddedPostgres(settings.state_dir))
            embedded.append(postgres)
            settings = settings.filled_in("embedded PostgreSQL", database_url=postgres.dsn)
        seaweed = EmbeddedSeaweed(settings.state_dir)
        # with the mode back at local too: what was written to it before must stay readable
        if needs_embedded_store(settings) and (settings.storage_mode != "local" or seaweed.was_used):
            embedded.append(stack.enter_context(seaweed))
            settings = settings.filled_in(
                "embedded SeaweedFS",
                s3_endpoint=seaweed.endpoint,
                s3_provider="seaweedfs",
                s3_access_key_id=seaweed.access_key,
                s3_secret_access_key=seaweed.secret_key,
            )
        yield Services(_with_public_url(settings), tuple(embedded))


def needs_embedded_store(settings: Settings) -> bool:
    """Return whether a store has no bucket of one's own."""
    return any(not endpoint_url(settings, store) for store in settings.stores)


def _with_public_url(settings: Settings) -> Settings:
    url = settings.local_url(settings.gateway_port)
    return settings if settings.public_url else settings.filled_in("host and port", public_url=url)
