"""What the tools find and make, as plain data that survives a trip through JSON.

Times are microseconds on the source's own timeline with the first video frame (the first sound, where there is
no video) at 0, unless a name says `pts`: those are ticks of the stream's time base as the container has them.
"""

from dataclasses import asdict, dataclass, field, fields
from fractions import Fraction
from typing import Any, Literal, Self, get_type_hints

from mediaplane.pipeline.tools.lines import Line

Kind = Literal["video", "audio", "image"]


class Record:
    """Gives a dataclass `to_json` and `from_json`; fractions are written as `"30000/1001"`."""

    __slots__ = ()

    def to_json(self) -> dict[str, Any]:
        """Return the fields as values JSON can hold."""
        return {name: _plain(value) for name, value in asdict(self).items()}  # type: ignore[call-overload]

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        """Return the record that `to_json` wrote; unknown entries are ignored, so that newer data can be read."""
        hints = get_type_hints(cls)
        known = {entry.name for entry in fields(cls)}  # type: ignore[arg-type]
        return cls(**{name: _typed(hints[name], value) for name, value in data.items() if name in known})


def _plain(value: Any) -> Any:
    if isinstance(value, Fraction):
        return f"{value.numerator}/{value.denominator}"
    if isinstance(value, dict):
        return {name: _plain(entry) for name, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(entry) for entry in value]
    return value


def _typed(hint: Any, value: Any) -> Any:
    arguments = getattr(hint, "__args__", ())
    if value is None:
        return None
    if isinstance(value, list):
        inner = arguments[0] if arguments else Any
        kind = tuple if getattr(hint, "__origin__", hint) is tuple else list
        return kind(_typed(inner, entry) for entry in value)
    for candidate in (hint, *arguments):
        if candidate is Fraction:
            return Fraction(value)
        if isinstance(candidate, type) and issubclass(candidate, Record):
            return candidate.from_json(value)
        if candidate is Line and isinstance(value, dict):
            return Line.from_json(value)
    return value


@dataclass(frozen=True, slots=True)
class VideoStream(Record):
    """The picture. `width` and `height` are stored pixels after rotation; `sample_aspect` is still to be applied."""

    index: int
    codec: str
    width: int
    height: int
    rotation: int  # degrees clockwise that a player turns the stored picture: 0, 90, 180, 270
    pixel_format: str
    bit_depth: int
    hdr: Literal["", "pq", "hlg"]
    color_matrix: int  # as in ITU-T H.273: 1 BT.709, 5 and 6 BT.601, 9 BT.2020, 2 not said
    full_range: bool
    frame_rate: Fraction  # on average
    variable_frame_rate: bool
    sample_aspect: Fraction
    time_base: Fraction
    start_pts: int  # of the first frame that can be shown
    frame_count: int | None
    has_b_frames: bool
    interlaced: bool = False

    @property
    def start_us(self) -> int:
        """Where the first frame lies on the container's timeline."""
        return round(self.start_pts * self.time_base * 1_000_000)


@dataclass(frozen=True, slots=True)
class AudioStream(Record):
    """One audio track."""

    index: int
    codec: str
    sample_rate: int
    channels: int
    language: str
    start_us: int  # on the container's timeline
    title: str = ""


@dataclass(frozen=True, slots=True)
class Probe(Record):
    """What a file is. `duration_ms` is None where its header does not say.

    The first of `audio` is the track that plays unless another is chosen.
    """

    kind: Kind
    container: str
    duration_ms: int | None
    size_bytes: int | None
    seekable: bool  # keyframes can be found without reading everything before them
    video: VideoStream | None
    audio: list[AudioStream] = field(default_factory=list)

    @property
    def start_us(self) -> int:
        """Where time 0 of this project lies on the container's timeline."""
        if self.video is not None:
            return self.video.start_us
        return self.audio[0].start_us if self.audio else 0


@dataclass(frozen=True, slots=True)
class Chunk(Record):
    """A time range of the video; both ends lie on keyframes, the end is no part of it.

    The ticks are what cuts: they are compared with each frame's own, so no rounding can lose or double a frame.
    None means from the very beginning, or to the very end.
    """

    index: int
    start_us: int
    end_us: int | None
    start_pts: int | None
    end_pts: int | None
    still_ms: int = 0  # time between the small pictures of the scrubbing preview; 0: none are made


@dataclass(frozen=True, slots=True)
class EncodedSegment(Record):
    """One HLS segment; `file` lies in `out_dir/{rendition}/`."""

    file: str
    duration_us: int
    size_bytes: int


@dataclass(frozen=True, slots=True)
class EncodedRendition(Record):
    """One HLS rendition of a chunk, or of the whole sound (`name` "audio", no size, no frame rate)."""

    name: str
    width: int | None
    height: int | None
    frame_rate: float | None
    bandwidth: int  # bits per second, peak of a segment
    codecs: str  # RFC 6381
    init_file: str
    segments: list[EncodedSegment]
    language: str = ""  # of a sound track
    title: str = ""


@dataclass(frozen=True, slots=True)
class SpriteSheet(Record):
    """One JPEG of small pictures, row by row; `file` lies in `out_dir/sprites/`."""

    file: str
    first_ms: int
    tile_ms: int
    tiles: int
    columns: int
    tile_width: int
    tile_height: int


@dataclass(frozen=True, slots=True)
class Candidate(Record):
    """A moment that may stand for the recording; `score` is 0 for a black picture."""

    timestamp_ms: int
    score: float


@dataclass(frozen=True, slots=True)
class SoundResult(Record):
    """What one decode of the sound gave: a rendition a track, and how loud the first is, in `out_dir`."""

    renditions: list[EncodedRendition]
    peaks: int  # pairs of values in peaks.json
    length_us: int


@dataclass(frozen=True, slots=True)
class OcrOptions(Record):
    """Who reads the screen, and what counts as read."""

    engine: str
    languages: tuple[str, ...] = ("en",)
    min_confidence: float = 0.6
    debug_pictures: bool = False
    frames_per_second: float = 10.0


@dataclass(frozen=True, slots=True)
class ChunkResult(Record):
    """What one decode of a chunk gave."""

    end_us: int  # where its last frame ends, as far as the container tells
    renditions: list[EncodedRendition]
    frames: list[int] = field(default_factory=list)  # timestamp_ms of the pictures in out_dir/frames/
    lines: list[Line] = field(default_factory=list)
    debug_frames: list[int] = field(default_factory=list)  # timestamp_ms of the pictures in out_dir/debug/
    sheets: list[SpriteSheet] = field(default_factory=list)
    candidates: list[Candidate] = field(default_factory=list)  # for the poster, best first


@dataclass(frozen=True, slots=True)
class ReadingResult(Record):
    """What a chunk's text is, read without encoding anything; `written` are those of `frames` in out_dir/frames/."""

    frames: list[int] = field(default_factory=list)
    written: list[int] = field(default_factory=list)
    lines: list[Line] = field(default_factory=list)
    debug_frames: list[int] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class ClipResult(Record):
    """A clip that was cut, with the way that was really taken."""

    mode: Literal["fast", "exact"]
    duration_ms: int
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Picture(Record):
    """A JPEG that was made."""

    width: int
    height: int
    size_bytes: int


@dataclass(frozen=True, slots=True)
class ImageResult(Record):
    """What a still image gave: an upright JPEG in full size, a small one, and its text."""

    picture: Picture
    poster: Picture
    lines: list[Line] = field(default_factory=list)
