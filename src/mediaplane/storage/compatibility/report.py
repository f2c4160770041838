"""docs/providers.md: what is declared of every provider, and what was measured on the servers that are here."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import fields

from mediaplane.storage.compatibility import ABILITIES, Measured
from mediaplane.storage.providers import Provider

_NOT_ABILITIES = ("name", "region_in_host")
_UNITS = ((30, "GiB"), (20, "MiB"))
Runs = Mapping[str, Mapping[str, Sequence[Measured]]]  # server, way of reaching it, what was measured


def page(providers: Sequence[Provider], runs: Runs) -> str:
    """Return the page; `runs` are by server and by the way it was reached, such as `HTTP path`."""
    return "\n".join([*_head(), *_declared(providers), *_measured(runs)])


def _head() -> Iterator[str]:
    yield from ("# Providers", "", "Written by `make providers`: do not edit it by hand.", "")
    yield "What an S3 server can do is declared in `storage/providers.py`, with its source, and never tried out while"
    yield "the plane runs. Tests try it on the servers that can be had for nothing, and fail where both differ;"
    yield from ("`mediaplane s3 compat` tries it on yours.", "")


def _declared(providers: Sequence[Provider]) -> Iterator[str]:
    yield from ("## Declared", "", "Chosen by the endpoint's host name, or by `S3_PROVIDER`.", "")
    names = [provider.name for provider in providers]
    yield from _table(
        ["", *names],
        (
            [f"`{entry.name}`", *(_declaration(getattr(provider, entry.name)) for provider in providers)]
            for entry in fields(Provider)
            if entry.name not in _NOT_ABILITIES
        ),
    )


def _measured(runs: Runs) -> Iterator[str]:
    yield from ("## Measured", "")
    columns = [f"{server} {way}" for server, ways in runs.items() for way in ways]
    results = [run for ways in runs.values() for run in ways.values()]
    for group, abilities in ABILITIES.items():
        yield from (f"### {group}", "")
        numbers = {ability.name: number for number, ability in enumerate(abilities)}
        start = [one.ability.name for one in results[0]].index(abilities[0].name)
        yield from _table(
            ["", *columns],
            (
                [ability.name, *("yes" if run[start + numbers[ability.name]].able else "**no**" for run in results)]
                for ability in abilities
            ),
        )
        yield from _remarks(group, runs)


def _remarks(group: str, runs: Runs) -> Iterator[str]:
    """Yield what each ability means, and how it showed where a server lacks it."""
    for ability in ABILITIES[group]:
        notes = []
        for server, ways in runs.items():
            found = {one.note for run in ways.values() for one in run if one.ability == ability and not one.able}
            notes += [f"{server}: {note}" for note in sorted(found)]
        yield f"- *{ability.name}*: {ability.sentence}{' ' + '; '.join(notes) + '.' if notes else ''}"
    yield ""


def _declaration(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, tuple):
        return ", ".join(map(str, value))
    if isinstance(value, int):
        return next((f"{value >> shift} {unit}" for shift, unit in _UNITS if value >> shift), f"{value:,}")
    return str(value)


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(head)} |"
    yield f"| {' | '.join('---' for _ in head)} |"
    for row in rows:
        yield f"| {' | '.join(row)} |"
    yield ""
