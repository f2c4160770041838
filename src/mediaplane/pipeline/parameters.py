"""What a replay may change about one asset, stage by stage, and the settings that then hold for it."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from mediaplane.errors import InvalidReplay
from mediaplane.pipeline.tools.results import OcrOptions
from mediaplane.settings import Settings
from mediaplane.settings.declared import described

_READING = {
    "engine": "OCR_ENGINE",
    "languages": "OCR_LANGUAGES",
    "min_confidence": "OCR_MIN_CONFIDENCE",
    "debug_pictures": "OCR_DEBUG_PICTURES",
}
# Stage: parameter: the setting it stands in place of.
PARAMETERS: Mapping[str, Mapping[str, str]] = {
    "probe": {},
    "plan": {"chunk_seconds": "MEDIAPLANE_CHUNK_SECONDS"},
    "chunk": {"short_sides": "HLS_SHORT_SIDES"},
    "audio": {},
    "ocr": {**_READING, "frames_per_second": "FRAMES_PER_SECOND"},
    "text": {},
    "assemble": {"progressive_proxy": "PROGRESSIVE_PROXY"},
    "picture": _READING,
}


def read_changes(stage: str, given: Mapping[str, str]) -> dict[str, str]:
    """Return `given` parameters of a stage by the settings they stand for.

    Raises:
        InvalidReplay: there is no such stage or parameter, or it may not have the value.
    """
    if stage not in PARAMETERS:
        raise InvalidReplay(f"there is no stage {stage!r}: use one of {', '.join(PARAMETERS)}")
    known = PARAMETERS[stage]
    for name in given:
        if name not in known:
            allowed = f"it has {', '.join(known)}" if known else "it has none"
            raise InvalidReplay(f"the stage {stage} has no parameter {name!r}: {allowed}")
    changes = {known[name]: value for name, value in given.items()}
    for name, value in given.items():
        try:
            _read({known[name]: value})
        except ValueError as error:
            raise InvalidReplay(f"{name} {error}") from error
    return changes


def settings_for(settings: Settings, params: Mapping[str, str]) -> Settings:
    """Return the settings that hold for an asset whose replay said `params`, by the names of their variables."""
    return replace(settings, **_read(params)) if params else settings


def ocr_options(settings: Settings) -> OcrOptions | None:
    """Return who reads pictures and what counts as read; None: nobody."""
    if settings.ocr_engine == "off":
        return None
    return OcrOptions(
        engine=settings.ocr_engine,
        languages=settings.ocr_languages,
        min_confidence=settings.ocr_min_confidence,
        debug_pictures=settings.ocr_debug_pictures,
        frames_per_second=settings.frames_per_second,
    )


def _read(params: Mapping[str, str]) -> dict[str, Any]:
    return {
        entry.name: entry.metadata["read"](params[entry.metadata["variable"]])
        for entry in described()
        if entry.metadata["variable"] in params
    }
