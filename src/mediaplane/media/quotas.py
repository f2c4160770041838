"""Plans and what fits into them: names of limits, `[plans.NAME]` of a profile, and the terms of one account.

    [plans.free]
    title = "Free"
    default = true                          # of whoever was given none; without it they are unlimited
    stored_bytes = "5 GB"                   # a number, or with B, kB, MB, GB, TB, KiB, MiB, GiB, TiB
    largest_bytes = "500 MB"                # of one file
    clips = 20
    minutes_per_month = 60                  # of media processed, calendar months in UTC
    uploads_in_flight = 3

What a plan does not name is unlimited in it.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from enum import StrEnum
from types import MappingProxyType
from typing import Any


class Resource(StrEnum):
    """What a plan may limit; the values are the names in profiles, problem documents and on the command line."""

    STORED_BYTES = "stored_bytes"  # of all roles, with what is reserved and what still waits to be removed
    LARGEST_BYTES = "largest_bytes"  # of one file that is uploaded
    CLIPS = "clips"
    MINUTES_PER_MONTH = "minutes_per_month"
    UPLOADS_IN_FLIGHT = "uploads_in_flight"


COUNTED = tuple(resource for resource in Resource if resource is not Resource.LARGEST_BYTES)
IN_BYTES = (Resource.STORED_BYTES, Resource.LARGEST_BYTES)
MAX_LIMIT = 1 << 60

Limits = Mapping[Resource, int | None]  # None, or not named: unlimited

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([kKMGT]?)(i?)B?")
_POWERS: Mapping[str, int] = {"": 0, "k": 1, "K": 1, "M": 2, "G": 3, "T": 4}


@dataclass(frozen=True, slots=True)
class Plan:
    """What someone may use."""

    name: str
    title: str = ""
    limits: Limits = field(default_factory=dict)
    is_default: bool = False


@dataclass(frozen=True, slots=True)
class Terms:
    """What holds for one account now; `plan` is empty where nothing limits it."""

    plan: str = ""
    limits: Limits = field(default_factory=dict)
    since: datetime | None = None

    def limit(self, resource: Resource) -> int | None:
        """Return the limit, None where there is none."""
        return self.limits.get(resource)

    @property
    def is_unlimited(self) -> bool:
        """Whether nothing needs to be looked up before something is taken."""
        return all(limit is None for limit in self.limits.values())


@dataclass(frozen=True, slots=True)
class Plans:
    """All plans of a deployment, in the order of the profile; none: everything is unlimited."""

    by_name: Mapping[str, Plan] = field(default_factory=lambda: MappingProxyType({}))

    @property
    def default(self) -> Plan | None:
        """The plan of whoever was given none."""
        return next((plan for plan in self.by_name.values() if plan.is_default), None)

    def terms(self, plan_name: str | None, overrides: Limits, since: datetime | None) -> Terms:
        """Return the terms of who was given this plan, or none.

        A plan that the profile does not have any more counts as none: renaming one must neither free nor stop anybody.
        """
        if plan := self.by_name.get(plan_name or ""):
            return Terms(plan.name, {**plan.limits, **overrides}, since)
        default = self.default
        return Terms(default.name, default.limits) if default else Terms()

    def that_hold(self, resource: Resource, amount: float, *, but: str) -> tuple[str, ...]:
        """Return the names of other plans in which so much fits."""
        found = []
        for plan in self.by_name.values():
            limit = plan.limits.get(resource)
            if plan.name != but and (limit is None or limit >= amount):
                found.append(plan.name)
        return tuple(found)


UNLIMITED = Plans()


def read_plans(sections: Mapping[str, Any]) -> Plans:
    """Return the plans of `[plans]`.

    Raises:
        ValueError: a name, an entry or a limit cannot be; or two plans are the default.
    """
    plans = {name: _read_plan(name, entries) for name, entries in sections.items()}
    defaults = [plan.name for plan in plans.values() if plan.is_default]
    if len(defaults) > 1:
        raise ValueError(f"[plans]: only one plan may have `default = true`, not {' and '.join(defaults)}")
    return Plans(MappingProxyType(plans))


def read_limits(entries: Mapping[str, Any]) -> dict[Resource, int | None]:
    """Return limits by resource; `unlimited` lifts one.

    Raises:
        ValueError: there is no such limit, or it has no such value.
    """
    return {_resource(name): read_limit(name, value) for name, value in entries.items()}


def read_limit(name: str, value: Any) -> int | None:
    """Return one limit.

    Raises:
        ValueError: there is no such limit, or it has no such value.
    """
    resource = _resource(name)
    if value is None or value == "unlimited":
        return None
    amount = read_size(value) if resource in IN_BYTES else _read_whole(value)
    if amount is None or amount > MAX_LIMIT:
        examples = 'a number, "500 MB" or "5 GiB"' if resource in IN_BYTES else "a whole number"
        raise ValueError(f"{name} must be {examples}, or unlimited, not {value!r}")
    return amount


def read_size(value: Any) -> int | None:
    """Return how many bytes `5 GB`, `1.5 GiB` or a number are, None where it is none of these."""
    match = _SIZE.fullmatch(str(value).strip()) if not isinstance(value, bool | float) else None
    if match is None or (match[3] and not match[2]):
        return None
    unit: int = (1024 if match[3] else 1000) ** _POWERS[match[2]]
    return round(Decimal(match[1]) * unit)


def month_of(moment: datetime) -> str:
    """Return the calendar month in UTC, as `2026-11`."""
    return f"{moment.astimezone(UTC):%Y-%m}"


def end_of_month(moment: datetime) -> datetime:
    """Return when the next calendar month begins in UTC."""
    moment = moment.astimezone(UTC)
    year, month = divmod(moment.year * 12 + moment.month, 12)
    return datetime(year, month + 1, 1, tzinfo=UTC)


def shown(resource: Resource, amount: float) -> str:
    """Return an amount as people read it."""
    if resource not in IN_BYTES:
        number = f"{amount:.1f}".removesuffix(".0")
        unit = " minute" if number == "1" else " minutes"
        return f"{number}{unit}" if resource is Resource.MINUTES_PER_MONTH else number
    for unit in ("B", "kB", "MB", "GB"):
        if abs(amount) < 1000:
            return f"{amount:.0f} B" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1000
    return f"{amount:.1f} TB"


def sorted_limits(limits: Limits) -> Sequence[tuple[Resource, int]]:
    """Return the limits that are some, in the order of `Resource`."""
    return [(resource, limit) for resource in Resource if (limit := limits.get(resource)) is not None]


def _read_plan(name: str, entries: Any) -> Plan:
    where = f"[plans.{name}]"
    if not isinstance(entries, Mapping):
        raise ValueError(f"{where} must be a section with limits")
    if not _NAME.fullmatch(name):
        raise ValueError(f"{where}: a plan's name has up to 64 of A-Z a-z 0-9 _ -")
    others = {entry: value for entry, value in entries.items() if entry not in ("title", "default")}
    try:
        limits = read_limits(others)
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from error
    if not isinstance(entries.get("default", False), bool):
        raise ValueError(f"{where}: default must be true or false")
    return Plan(name, str(entries.get("title", "")), MappingProxyType(limits), entries.get("default", False))


def _resource(name: str) -> Resource:
    try:
        return Resource(name)
    except ValueError:
        raise ValueError(f"there is no limit {name}: there are {', '.join(Resource)}") from None


def _read_whole(value: Any) -> int | None:
    text = str(value).strip()
    return int(text) if not isinstance(value, bool) and text.isascii() and text.isdigit() else None
