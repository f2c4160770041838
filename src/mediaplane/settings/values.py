"""Readers of settings: each takes what stands in a variable or a profile, or says what it may be."""

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any


def text(value: Any) -> str:
    return str(value)


def secret(value: Any) -> str:
    text = str(value)
    if text and (len(text) < 16 or not text.isascii() or not text.isprintable() or " " in text):
        raise ValueError("must have 16 characters at least, of plain text without spaces")
    return text


def whole(low: int, high: int) -> Callable[[Any], int]:
    def read(value: Any) -> int:
        try:
            number = int(str(value))
        except ValueError:
            raise ValueError(f"must be a whole number from {low} to {high}, not {value!r}") from None
        if not low <= number <= high:
            raise ValueError(f"must be from {low} to {high}, not {number}")
        return number

    return read


def real(low: float, high: float) -> Callable[[Any], float]:
    def read(value: Any) -> float:
        try:
            number = float(str(value))
        except ValueError:
            raise ValueError(f"must be a number from {low:g} to {high:g}, not {value!r}") from None
        if not low <= number <= high:
            raise ValueError(f"must be from {low:g} to {high:g}, not {number:g}")
        return number

    return read


def one_of(*allowed: str) -> Callable[[Any], str]:
    def read(value: Any) -> str:
        if str(value) not in allowed:
            raise ValueError(f"must be one of {', '.join(allowed)}, not {value!r}")
        return str(value)

    return read


def yes_no(value: Any) -> bool:
    known = {"1": True, "true": True, "yes": True, "on": True, "0": False, "false": False, "no": False, "off": False}
    try:
        return known[str(value).lower()]
    except KeyError:
        raise ValueError(f"must be true or false, not {value!r}") from None


def url(*schemes: str) -> Callable[[Any], str]:
    def read(value: Any) -> str:
        text = str(value).rstrip("/")
        if text and not text.startswith(tuple(f"{scheme}://" for scheme in schemes)):
            raise ValueError(f"must begin with {' or '.join(scheme + '://' for scheme in schemes)}, not {text!r}")
        return text

    return read


def origin(value: Any) -> str:
    text = str(value).rstrip("/")
    if not re.fullmatch(r"https?://[A-Za-z0-9.*\[\]:-]+", text) or text.split("//")[1] == "*":
        raise ValueError(f"must be origins such as https://app.example.com or https://*.example.com, not {text!r}")
    return text


def days(value: Any) -> timedelta:
    return timedelta(days=real(0, 36500)(value))


def names(value: Any) -> tuple[str, ...]:
    parts = value if isinstance(value, list) else str(value).split(",")
    return tuple(str(part).strip() for part in parts if str(part).strip())


def each(read: Callable[[Any], Any]) -> Callable[[Any], tuple[Any, ...]]:
    return lambda value: tuple(read(part) for part in names(value))


def minutes(value: Any) -> timedelta:
    return timedelta(minutes=real(0, 10_000)(value))


def span(low: int, high: int) -> Callable[[Any], tuple[int, ...]]:
    def read(value: Any) -> tuple[int, ...]:
        found = each(whole(low, high))(value)
        if len(found) != 2 or found[0] > found[1]:
            raise ValueError(f"must be two numbers, the smaller one first, not {value!r}")
        return found

    return read
