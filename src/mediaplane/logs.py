"""JSON log lines on standard error, one an event, without secrets or signatures.

structlog brings rich and pygments along, half a second of processor time: it is imported at the first line, so that
commands that log nothing do without.
"""

import logging
import re
import sys
from collections.abc import MutableMapping
from typing import Any

# What lets somebody in, wherever it stands: other people's error messages quote URLs and headers.
_SECRETS = re.compile(
    r"""(?P<name>\bX-Amz-(?:Signature|Credential|Security-Token)=|[?&](?:token|signature|policy|secret|key)=|\bBearer\s+
        |://[^/\s:@]+:(?=[^/\s@]+@))   # a password in a URL
        [^\s&"'@]+
        |\bmp_[a-z0-9]{12}_\w+|\bwhsec_[\w+/=-]+|\beyJ[\w-]+\.[\w-]+\.[\w-]*""",
    re.IGNORECASE | re.VERBOSE,
)
# One of these stands in every text that has one: looking for them is quicker by far.
_HINTS = ("=", "earer", "EARER", "://", "mp_", "whsec_", "eyJ")


class Logger:
    """structlog's logger of a name, made at the first line."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._made: Any = None

    def __getattr__(self, method: str) -> Any:
        """Return `info`, `warning` and whatever else structlog's logger has."""
        if self._made is None:
            import structlog

            self._made = structlog.get_logger(self._name)
        return getattr(self._made, method)


def set_up_logging(level: int = logging.INFO) -> None:
    """Send structlog and the standard library's loggers to standard error as JSON lines."""
    import structlog

    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]
    renderer = structlog.processors.JSONRenderer()
    structlog.configure(
        # Straight to the stream: by way of the standard library's loggers a line would cost three times as much, which
        # is more than a short request's own work.
        processors=[*shared, mask_secrets, renderer],
        logger_factory=structlog.WriteLoggerFactory(sys.stderr),
        wrapper_class=structlog.make_filtering_bound_logger(level),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared, processors=[_drop_internals, mask_secrets, renderer]
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level)
    for chatty in ("httpx", "botocore", "uvicorn.access", "pgqueuer"):
        logging.getLogger(chatty).setLevel(logging.WARNING)


def mask_secrets(_logger: Any, _name: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Put dots in place of keys, tokens, signatures and passwords."""
    for name, value in event.items():
        if isinstance(value, str) and any(hint in value for hint in _HINTS):
            event[name] = _SECRETS.sub(lambda match: f"{match['name'] or ''}…", value)
    return event


def _drop_internals(_logger: Any, _name: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    return {key: value for key, value in event.items() if key not in ("_record", "_from_structlog")}
