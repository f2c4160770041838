"""What this process was told: environment and profile, read once, frozen.

Order, first wins: environment variable of the process role (`WORKER_S3_SECRET_ACCESS_KEY`), environment
variable, `[environments.NAME]` of the profile for `MEDIAPLANE_ENV`, profile, default. A profile is a TOML file;
the shipped ones are named by `MEDIAPLANE_PROFILE`, others given as a path.
"""

import os
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from datetime import timedelta
from importlib.resources import files
from pathlib import Path
from typing import Any

from mediaplane.errors import SettingInvalid
from mediaplane.media.keys import Layout

ROLES = ("gateway", "worker", "scanner")
_MASK = "********"


def _text(value: Any) -> str:
    return str(value)


def _whole(low: int, high: int) -> Callable[[Any], int]:
    def read(value: Any) -> int:
        try:
            number = int(str(value))
        except ValueError:
            raise ValueError(f"must be a whole number from {low} to {high}, not {value!r}") from None
        if not low <= number <= high:
            raise ValueError(f"must be from {low} to {high}, not {number}")
        return number

    return read


def _real(low: float, high: float) -> Callable[[Any], float]:
    def read(value: Any) -> float:
        try:
            number = float(str(value))
        except ValueError:
            raise ValueError(f"must be a number from {low:g} to {high:g}, not {value!r}") from None
        if not low <= number <= high:
            raise ValueError(f"must be from {low:g} to {high:g}, not {number:g}")
        return number

    return read


def _one_of(*allowed: str) -> Callable[[Any], str]:
    def read(value: Any) -> str:
        if str(value) not in allowed:
            raise ValueError(f"must be one of {', '.join(allowed)}, not {value!r}")
        return str(value)

    return read


def _yes_no(value: Any) -> bool:
    known = {"1": True, "true": True, "yes": True, "on": True, "0": False, "false": False, "no": False, "off": False}
    try:
        return known[str(value).lower()]
    except KeyError:
        raise ValueError(f"must be true or false, not {value!r}") from None


def _url(*schemes: str) -> Callable[[Any], str]:
    def read(value: Any) -> str:
        text = str(value).rstrip("/")
        if text and not text.startswith(tuple(f"{scheme}://" for scheme in schemes)):
            raise ValueError(f"must begin with {' or '.join(scheme + '://' for scheme in schemes)}, not {text!r}")
        return text

    return read


def _days(value: Any) -> timedelta:
    return timedelta(days=_real(0, 36500)(value))


def _names(value: Any) -> tuple[str, ...]:
    parts = value if isinstance(value, list) else str(value).split(",")
    return tuple(str(part).strip() for part in parts if str(part).strip())


def _each(read: Callable[[Any], Any]) -> Callable[[Any], tuple[Any, ...]]:
    return lambda value: tuple(read(part) for part in _names(value))


def _minutes(value: Any) -> timedelta:
    return timedelta(minutes=_real(0, 10_000)(value))


def _setting(
    variable: str, read: Callable[[Any], Any], default: Any, doc: str, *, secret: bool = False, per_role: bool = False
) -> Any:
    meta = {"variable": variable, "read": read, "doc": doc, "secret": secret, "per_role": per_role}
    return field(default=default, metadata=meta)


@dataclass(frozen=True, slots=True)
class Settings:
    """Every setting; the metadata of each field has its variable, reader and description."""

    environment: str = _setting(
        "MEDIAPLANE_ENV", _one_of("dev", "staging", "prod"), "dev", "which [environments.…] of the profile applies"
    )
    state_dir: Path = _setting(
        "MEDIAPLANE_STATE_DIR", Path, Path(".mediaplane"), "everything embedded lives below this directory"
    )
    database_url: str = _setting(
        "DATABASE_URL", _url("postgresql", "postgres"), "", "a PostgreSQL of your own; empty: embedded", secret=True
    )
    storage_mode: str = _setting("STORAGE_MODE", _one_of("local", "s3"), "s3", "where new bytes are written")
    local_dir: str = _setting("MEDIAPLANE_LOCAL_DIR", _text, "", "directory of the local store; empty: STATE_DIR/media")
    s3_endpoint: str = _setting("S3_ENDPOINT", _url("http", "https"), "", "S3 endpoint; empty: embedded SeaweedFS")
    s3_bucket: str = _setting("S3_BUCKET", _text, "mediaplane", "bucket")
    s3_region: str = _setting("S3_REGION", _text, "us-east-1", "region that signatures name")
    s3_access_key_id: str = _setting("S3_ACCESS_KEY_ID", _text, "", "access key", per_role=True)
    s3_secret_access_key: str = _setting("S3_SECRET_ACCESS_KEY", _text, "", "secret key", secret=True, per_role=True)
    s3_session_token: str = _setting(
        "S3_SESSION_TOKEN", _text, "", "session token of temporary keys", secret=True, per_role=True
    )
    s3_session_expires: str = _setting(
        "S3_SESSION_EXPIRES", _text, "", "when temporary keys end (ISO 8601); no URL outlives it", per_role=True
    )
    s3_addressing: str = _setting("S3_ADDRESSING", _one_of("path", "virtual"), "path", "bucket in path or host name")
    s3_ca_file: str = _setting("S3_CA_FILE", _text, "", "PEM file that signs the endpoint's certificate")
    signing_key: str = _setting(
        "MEDIAPLANE_SIGNING_KEY", _text, "", "HMAC key of links; empty: made once in the state directory", secret=True
    )
    public_url: str = _setting("MEDIAPLANE_PUBLIC_URL", _url("http", "https"), "", "how clients reach the gateway")
    gateway_host: str = _setting(
        "MEDIAPLANE_HOST",
        _one_of("127.0.0.1", "::1", "localhost"),
        "127.0.0.1",
        "address of the gateway; loopback only until it has accounts",
    )
    gateway_port: int = _setting("MEDIAPLANE_PORT", _whole(0, 65535), 8420, "port of the gateway; 0: any free one")
    link_minutes: int = _setting(
        "MEDIAPLANE_LINK_MINUTES", _whole(2, 10080), 60, "how long a signed link lives at least"
    )
    playback_minutes: int = _setting(
        "MEDIAPLANE_PLAYBACK_MINUTES",
        _whole(2, 10080),
        720,
        "how long a playlist's URL and those in it live at least: players read a playlist once",
    )
    owner: str = _setting("MEDIAPLANE_OWNER", _text, "local", "owner of what this process makes")
    team: str = _setting("MEDIAPLANE_TEAM", _text, "local", "team of what this process makes")
    workers: int = _setting("MEDIAPLANE_WORKERS", _whole(1, 64), 1, "worker processes that `up` starts")
    worker_slots: int = _setting("MEDIAPLANE_WORKER_SLOTS", _whole(0, 256), 0, "runs at once per worker; 0: one a core")
    lease_seconds: int = _setting(
        "MEDIAPLANE_LEASE_SECONDS", _whole(3, 3600), 30, "a silent worker's run is free after this"
    )
    retry_waits: tuple[timedelta, ...] = _setting(
        "MEDIAPLANE_RETRY_MINUTES",
        _each(_minutes),
        (timedelta(minutes=1), timedelta(minutes=5), timedelta(minutes=15)),
        "waits before each retry, in minutes",
    )
    chunk_seconds: int = _setting("MEDIAPLANE_CHUNK_SECONDS", _whole(6, 3600), 60, "chunks have about this length")
    frames_per_second: float = _setting("FRAMES_PER_SECOND", _real(0.1, 60), 10.0, "how often a frame is looked at")
    ocr_engine: str = _setting("OCR_ENGINE", _one_of("rapidocr", "off"), "rapidocr", "who reads the screen")
    ocr_languages: tuple[str, ...] = _setting("OCR_LANGUAGES", _names, ("en",), "languages of the text")
    ocr_min_confidence: float = _setting("OCR_MIN_CONFIDENCE", _real(0, 1), 0.6, "text below this is dropped")
    ocr_debug_pictures: bool = _setting(
        "OCR_DEBUG_PICTURES", _yes_no, False, "keep frames with boxes and text drawn in"
    )
    rendition_sides: tuple[int, ...] = _setting(
        "HLS_SHORT_SIDES", _each(_whole(64, 8192)), (1080, 720, 360), "short sides of HLS renditions, in pixels"
    )
    progressive_proxy: bool = _setting("PROGRESSIVE_PROXY", _yes_no, False, "also make one MP4 a browser can download")
    clip_padding_ms: int = _setting("CLIP_PADDING_MS", _whole(0, 600_000), 2000, "added before and after a clip")
    clip_expiry: timedelta = _setting(
        "CLIP_EXPIRY_DAYS", _days, timedelta(days=30), "clips are removed after this many days"
    )
    max_decode_seconds: int = _setting(
        "MAX_DECODE_SECONDS", _whole(10, 86400), 3600, "a tool's run is ended after this"
    )
    max_decode_mb: int = _setting("MAX_DECODE_MB", _whole(1024, 1_000_000), 8192, "address space of a tool's process")
    layout: Layout = field(default_factory=lambda: Layout({}), metadata={})
    views: tuple[str, ...] = field(default=(), metadata={})
    profile: str = "cortana-vision"
    sources: Mapping[str, str] = field(default_factory=dict, metadata={})  # field name to where its value came from

    def filled_in(self, source: str, **found: str) -> "Settings":
        """Return these settings with `found` in place of values that no environment variable gave."""
        chosen: dict[str, Any] = {
            name: value for name, value in found.items() if value and not self._from_environment(name)
        }
        return replace(self, **chosen, sources={**self.sources, **dict.fromkeys(chosen, source)})

    def _from_environment(self, name: str) -> bool:
        source = self.sources.get(name, "default")
        return source != "default" and not source.startswith("profile ")


def load_settings(environ: Mapping[str, str] | None = None, *, role: str = "") -> Settings:
    """Return the settings of this process; `role` is one of gateway, worker, scanner, or none.

    Raises:
        SettingInvalid: a value is not allowed, or the profile is missing or has an unknown entry.
    """
    env = os.environ if environ is None else environ
    profile_name = env.get("MEDIAPLANE_PROFILE") or "cortana-vision"
    profile = _read_profile(profile_name)
    chosen = env.get("MEDIAPLANE_ENV") or str(profile.get("settings", {}).get("MEDIAPLANE_ENV", "dev"))
    per_environment = profile.get("environments", {}).get(chosen, {})
    values: dict[str, Any] = {}
    sources: dict[str, str] = {}
    for entry in _described():
        meta = entry.metadata
        where = _candidates(meta, env, role) + [
            (f"profile {profile_name} [environments.{chosen}]", per_environment.get(meta["variable"])),
            (f"profile {profile_name}", profile.get("settings", {}).get(meta["variable"])),
        ]
        source, raw = next(((name, value) for name, value in where if value not in (None, "")), ("default", None))
        sources[entry.name] = source
        if raw is not None:
            values[entry.name] = _read(meta, source, raw)
    return Settings(
        **values,
        profile=profile_name,
        layout=Layout(profile.get("layout", {})),
        views=tuple(profile.get("views", {}).get("names", ())),
        sources=sources,
    )


def describe(settings: Settings) -> list[dict[str, Any]]:
    """Return one `{"setting", "value", "source", "doc"}` for each setting, secrets masked."""
    return [
        {
            "setting": entry.metadata["variable"],
            "value": _shown(entry.metadata, getattr(settings, entry.name)),
            "source": settings.sources.get(entry.name, "default"),
            "doc": entry.metadata["doc"],
        }
        for entry in _described()
    ]


def _described() -> list[Any]:
    return [entry for entry in fields(Settings) if "variable" in entry.metadata]


def _candidates(meta: Mapping[str, Any], env: Mapping[str, str], role: str) -> list[tuple[str, Any]]:
    variable = meta["variable"]
    names = [f"{role.upper()}_{variable}"] if role and meta["per_role"] else []
    return [(name, env.get(name)) for name in [*names, variable]]


def _read(meta: Mapping[str, Any], source: str, raw: Any) -> Any:
    try:
        return meta["read"](raw)
    except ValueError as error:
        name = meta["variable"] if source.startswith("profile") else source
        raise SettingInvalid(name, f"{error}" + (f" (in {source})" if source.startswith("profile") else "")) from error


def _shown(meta: Mapping[str, Any], value: Any) -> Any:
    if meta["secret"]:
        return _MASK if value else ""
    if isinstance(value, timedelta):
        return f"{value / timedelta(**{meta['variable'].rpartition('_')[2].lower(): 1}):g}"  # …_DAYS, …_MINUTES
    if isinstance(value, tuple):
        return ",".join(str(_shown(meta, part)) for part in value)
    return str(value) if isinstance(value, Path) else value


def _read_profile(name: str) -> dict[str, Any]:
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
        profile = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise SettingInvalid("MEDIAPLANE_PROFILE", f"{name} is no TOML: {error}") from error
    _refuse_unknown(name, profile)
    return profile


def _refuse_unknown(name: str, profile: dict[str, Any]) -> None:
    known = {entry.metadata["variable"] for entry in _described()}
    sections = {"settings": profile.get("settings", {}), **profile.get("environments", {})}
    for section, entries in sections.items():
        if unknown := sorted(set(entries) - known):
            raise SettingInvalid("MEDIAPLANE_PROFILE", f"{name} [{section}] has unknown settings: {', '.join(unknown)}")
