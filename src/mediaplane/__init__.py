"""The storage plane for products built on video, audio and images."""

__version__ = "0.1.0"
