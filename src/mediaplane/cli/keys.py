"""`key create|ls|revoke`: who may use the gateway by an API key."""

from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any

import typer

from mediaplane.access.keys import make_key
from mediaplane.access.principals import Principal, Role
from mediaplane.access.rules import Action
from mediaplane.catalog import accounts, audit
from mediaplane.catalog.accounts import ApiKey
from mediaplane.cli.output import console, notes, print_json, print_table
from mediaplane.cli.session import operator, with_plane
from mediaplane.errors import CredentialsInvalid
from mediaplane.wiring import Plane

JSON = typer.Option(False, "--json", help="Print one JSON document and nothing else")
_UNITS = {"m": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1)}
MAX_LIFETIME = timedelta(days=3650)

app = typer.Typer(
    name="key", help="API keys of the gateway: make, list, revoke.", no_args_is_help=True, rich_markup_mode=None
)


@app.command()
def create(
    role: str = typer.Option(help=f"What it may do: {', '.join(Role)}"),
    owner: str = typer.Option(help="Whose rows are its own"),
    team: str = typer.Option("", "--team", help="Which team's it may see, by role [default: the owner alone]"),
    scope: list[str] = typer.Option(
        [], "--scope", help=f"Only this, may be given again: {', '.join(Action)}; a service needs one at least"
    ),
    expires: str = typer.Option("90d", "--expires", help="Ends after 30m, 12h, 90d, 52w, or never"),
    tier: int = typer.Option(0, "--tier", min=0, max=999, help="Of a validator: larger may review more"),
    title: str = typer.Option("", "--title", help="What it is for"),
    as_json: bool = JSON,
) -> None:
    """Make a key and print it, this once: only its hash is kept."""
    lifetime = parse_lifetime(expires)
    who = _principal(owner, team or owner, _role(role), _scopes(role, scope))

    async def add(plane: Plane) -> tuple[str, ApiKey]:
        made = make_key()
        async with plane.pool.connection() as conn:
            await audit.act_as(conn, operator())
            row = await accounts.add(
                conn,
                key_id=made.key_id,
                digest=made.digest,
                owner=who.owner,
                team=who.team,
                role=who.role,
                scopes=sorted(who.scopes),
                tier=tier,
                title=title,
                lifetime=lifetime,
            )
        return made.text, row

    text, row = with_plane(add)
    if as_json:
        print_json({"key": text, **_document(row)})
        return
    notes.print(f"key {row.key_id} of {row.owner} ({row.role}), {_ends(row)}; it is shown this once:")
    print(text)


@app.command()
def ls(
    owner: str = typer.Option("", "--owner", help="Only this owner's"),
    everything: bool = typer.Option(False, "--all", help="Also those that are revoked or expired"),
    as_json: bool = JSON,
) -> None:
    """List keys, newest first; their secrets are kept nowhere."""

    async def read(plane: Plane) -> list[ApiKey]:
        async with plane.pool.connection() as conn:
            return await accounts.page(conn, owner=owner or None, dead=everything)

    found = with_plane(read)
    if as_json:
        print_json({"keys": [_document(row) for row in found]})
        return
    if not found:
        console.print("no keys: make one with `mediaplane key create`")
        return
    rows = [
        (row.key_id, row.role, row.owner, row.team, ",".join(row.scopes), _ends(row), _day(row.last_used_at), row.title)
        for row in found
    ]
    print_table(("key", "role", "owner", "team", "scopes", "ends", "last used (UTC)", "title"), rows)


@app.command()
def revoke(key_id: str = typer.Argument(help="Id of the key, as `mediaplane key ls` prints it", metavar="KEY")) -> None:
    """End a key; gateways forget it within five seconds."""

    async def end(plane: Plane) -> ApiKey:
        async with plane.pool.connection() as conn:
            await audit.act_as(conn, operator())
            return await accounts.revoke(conn, key_id)

    row = with_plane(end)
    console.print(f"key {row.key_id} of {row.owner} is revoked")


def parse_lifetime(text: str) -> timedelta | None:
    """Return how long `30m`, `12h`, `90d` or `52w` is, None for `never`.

    Raises:
        BadParameter: it is none of these, or longer than ten years.
    """
    if text == "never":
        return None
    number, unit = text[:-1], text[-1:]
    if number.isascii() and number.isdigit() and len(number) < 8 and unit in _UNITS and int(number):
        lifetime = int(number) * _UNITS[unit]
        if lifetime <= MAX_LIFETIME:
            return lifetime
    raise typer.BadParameter(f"write 30m, 12h, 90d, 52w or never, not {text!r}", param_hint="--expires")


def _principal(owner: str, team: str, role: Role, scopes: frozenset[str]) -> Principal:
    try:
        return Principal(subject="", owner=owner, team=team, role=role, scopes=scopes)
    except CredentialsInvalid:
        problem = "must be 1 to 200 printable characters, and not *"
        raise typer.BadParameter(problem, param_hint="--owner and --team") from None


def _role(text: str) -> Role:
    try:
        return Role(text)
    except ValueError:
        raise typer.BadParameter(f"must be one of {', '.join(Role)}, not {text!r}", param_hint="--role") from None


def _scopes(role: str, given: list[str]) -> frozenset[str]:
    scopes = frozenset(part for entry in given for part in entry.split(",") if part)
    if unknown := sorted(scopes - set(Action)):
        raise typer.BadParameter(f"may be {', '.join(Action)}, not {', '.join(unknown)}", param_hint="--scope")
    if role == Role.SERVICE and not scopes:
        raise typer.BadParameter("a service may do only what it is given: name a scope", param_hint="--scope")
    return scopes


def _document(row: ApiKey) -> dict[str, Any]:
    document = asdict(row)
    del document["digest"]
    return document


def _ends(row: ApiKey) -> str:
    if row.revoked_at:
        return f"revoked {_day(row.revoked_at)}"
    return f"until {_day(row.expires_at)}" if row.expires_at else "never ends"


def _day(moment: datetime | None) -> str:
    return f"{moment:%Y-%m-%d %H:%M}" if moment else ""
