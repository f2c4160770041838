"""A line of text as it stood on the screen, and the box it stood in: what OCR hands to the rest of the pipeline."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, Self


class Box(NamedTuple):
    """A rectangle in pixels of the frame; also what `tuple[int, int, int, int]` means in rows and JSON."""

    x: int
    y: int
    width: int
    height: int

    @property
    def right(self) -> int:
        """First column beyond the box."""
        return self.x + self.width

    @property
    def bottom(self) -> int:
        """First row below the box."""
        return self.y + self.height

    @property
    def area(self) -> int:
        """Pixels in the box."""
        return self.width * self.height

    def shared(self, other: "Box") -> int:
        """Return the number of pixels that lie in both boxes."""
        width = min(self.right, other.right) - max(self.x, other.x)
        height = min(self.bottom, other.bottom) - max(self.y, other.y)
        return max(0, width) * max(0, height)

    def union(self, other: "Box") -> "Box":
        """Return the smallest box around both."""
        x, y = min(self.x, other.x), min(self.y, other.y)
        return Box(x, y, max(self.right, other.right) - x, max(self.bottom, other.bottom) - y)

    def grown(self, by_x: int, by_y: int, width: int, height: int) -> "Box":
        """Return the box with a margin on each side, cut at a frame of `width` x `height`."""
        x, y = max(0, self.x - by_x), max(0, self.y - by_y)
        return Box(x, y, min(width, self.right + by_x) - x, min(height, self.bottom + by_y) - y)


def overlap(one: Box, other: Box) -> float:
    """Return how much two boxes are the same: shared area over the area of both together, from 0 to 1."""
    shared = one.shared(other)
    return shared / (one.area + other.area - shared) if shared else 0.0


@dataclass(frozen=True, slots=True)
class Line:
    """One line of text and when it could be read, in ms on the source's timeline (first video frame = 0)."""

    t_start_ms: int
    t_end_ms: int
    text: str
    box: tuple[int, int, int, int]  # x, y, width, height in pixels of the original; the latest place if it moved
    confidence: float  # 0 to 1
    language: str
    frame_ms: int  # the kept keyframe in which it was read

    def to_json(self) -> dict[str, Any]:
        """Return the line as JSON types."""
        return {
            "t_start_ms": self.t_start_ms,
            "t_end_ms": self.t_end_ms,
            "text": self.text,
            "box": list(self.box),
            "confidence": round(self.confidence, 4),
            "language": self.language,
            "frame_ms": self.frame_ms,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Return the line that `to_json` wrote."""
        x, y, width, height = data["box"]
        return cls(**{**data, "box": (x, y, width, height)})
