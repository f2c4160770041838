"""`bucket check|plan|apply|policy`: the settings of buckets, as the profile wants them."""

import json
import sys
from typing import TYPE_CHECKING, Any

import typer

from mediaplane.cli.output import console, notes, print_json
from mediaplane.errors import SettingInvalid, StorageError
from mediaplane.servers import find_services, needs_embedded_store
from mediaplane.settings import Settings, load_settings

if TYPE_CHECKING:
    from mediaplane.storage.bucket.difference import Change, Difference
    from mediaplane.storage.bucket.targets import Target

app = typer.Typer(
    name="bucket",
    help="Settings of buckets as code: the profile says what they are to be like.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

STORE = typer.Option("", "--store", help="Only this store's bucket; all where none is named")
JSON = typer.Option(False, "--json", help="Print one JSON document and nothing else")
_COLOURS = {"+": "green", "-": "red", "~": "yellow", "!": "red"}


@app.command()
def plan(store: str = STORE, as_json: bool = JSON) -> None:
    """Show what `apply` would change, and why; changes nothing."""
    found = [(target, _compare(target)) for target in read_buckets(store)]
    if as_json:
        print_json({"buckets": [document(target, difference) for target, difference in found]})
        return
    for target, difference in found:
        _print(target, difference)


@app.command()
def check(store: str = STORE, as_json: bool = JSON) -> None:
    """Compare buckets with the profile; exit status 1 where one differs or cannot be read."""
    found = [(target, _compare(target)) for target in read_buckets(store)]
    if as_json:
        print_json({"buckets": [document(target, difference) for target, difference in found]})
    else:
        for target, difference in found:
            _print(target, difference)
    if any(target.rules.managed and (difference.changes or difference.unknown) for target, difference in found):
        raise typer.Exit(1)


@app.command()
def apply(
    store: str = STORE,
    yes: bool = typer.Option(False, "--yes", "-y", help="Do not ask"),
    force: bool = typer.Option(False, "--force", help="Also where the profile says `managed = false`"),
) -> None:
    """Make the planned changes; rules that are not mediaplane's stay as they are."""
    from mediaplane.storage.bucket.apply import apply as change

    left: list[Change] = []
    for target in read_buckets(store):
        difference = _compare(target)
        _print(target, difference)
        if not difference.mendable:
            left += difference.changes
            continue
        if not target.rules.managed and not force:
            notes.print(f"{target.endpoint.bucket} is left alone: the profile says managed = false (--force applies)")
            continue
        if not yes and not _agree(target.endpoint.bucket):
            raise StorageError("nothing was changed" if not left else "stopped: not every bucket was changed")
        remaining = change(target.endpoint, target.wanted, difference)
        left += remaining.changes
        if remaining.changes:
            console.print("still different:")
            _print(target, remaining)
        else:
            console.print(f"[green]done[/green]: {target.endpoint.bucket} is as the profile wants it\n")
    if left:
        raise typer.Exit(1)


@app.command()
def policy(
    role: str = typer.Option("", "--role", help="gateway, worker or scanner; all where none is named"),
    form: str = typer.Option("iam", "--format", help="iam: for a user of each role; bucket: to put on the bucket"),
    principal: str = typer.Option(
        "", "--principal", help="With --format bucket: ARN of the users, {role} in it stands for the role"
    ),
    store: str = STORE,
) -> None:
    """Print the least permissions that gateway, worker and scanner can work with, as JSON."""
    from mediaplane.storage.bucket.policy import FORMATS, ROLES, bucket_policy, iam_policy

    if role not in ("", *ROLES):
        raise typer.BadParameter(f"must be one of {', '.join(ROLES)}", param_hint="--role")
    if form not in FORMATS:
        raise typer.BadParameter(f"must be one of {', '.join(FORMATS)}", param_hint="--format")
    roles = [role] if role else list(ROLES)
    targets = read_buckets(store)
    documents: dict[str, dict[str, Any]]
    if form == "iam":
        documents = {name: iam_policy(targets, name) for name in roles}
    else:
        documents = {
            target.endpoint.bucket: bucket_policy(target, {name: _principal(principal, target, name) for name in roles})
            for target in targets
        }
    shown = {name: entry for name, entry in documents.items() if entry["Statement"]}
    if missing := sorted(set(documents) - set(shown)):
        notes.print(f"nothing is needed by {', '.join(missing)}", style="yellow")
    json.dump(next(iter(shown.values())) if len(documents) == 1 and shown else shown, sys.stdout, indent=2)
    sys.stdout.write("\n")


def read_buckets(store: str) -> "list[Target]":
    """Return the buckets of the settings, or one store's; on the running `up` where no server of one's own is set.

    Raises:
        NotRunning: a bucket is on the embedded server, and no `up` runs.
        SettingInvalid: no store has a bucket, or `[bucket]` is wrong.
    """
    from mediaplane.storage.bucket.targets import read_targets  # boto3 is slow to import

    settings = _settings()
    names = [one.name for one in settings.stores]
    if store and store not in names:
        raise typer.BadParameter(f"the profile has no such store; it has {', '.join(names)}", param_hint="--store")
    targets = read_targets(settings, only=store)
    if not targets:
        raise SettingInvalid("STORAGE_MODE", "bytes go to a directory: no store has a bucket (S3_ENDPOINT is not set)")
    return targets


def _settings() -> Settings:
    settings = load_settings()
    if settings.storage_mode != "local" and needs_embedded_store(settings):
        return find_services(settings)
    return settings


def _compare(target: "Target") -> "Difference":
    from mediaplane.storage.bucket.apply import plan as compare

    return compare(target.endpoint, target.wanted)


def _principal(given: str, target: "Target", role: str) -> str:
    account = "ACCOUNT" if target.endpoint.provider.name == "aws" else ""
    return (given or f"arn:aws:iam::{account}:user/mediaplane-{{role}}").replace("{role}", role)


def _agree(bucket: str) -> bool:
    if not sys.stdin.isatty():
        raise StorageError("nothing was changed: there is nobody to ask; --yes applies without asking")
    return typer.confirm(f"Change {bucket}?", err=True)


def _print(target: "Target", difference: "Difference") -> None:
    endpoint = target.endpoint
    tier = "public" if target.public else "private"
    console.print(
        f"[bold]{endpoint.bucket}[/bold]  store {', '.join(target.stores)}, {tier}, {endpoint.provider.name}"
        f" at {endpoint.url}"
    )
    for change in difference.changes:
        _print_change(change)
    for setting, reason in difference.unknown.items():
        console.print(f"  [yellow]?[/yellow] {setting}: {reason}")
    for entry in difference.cannot:
        console.print(f"  cannot: {entry.setting}: {entry.what}", markup=False)
        console.print(f"          {entry.instead}", style="dim", markup=False)
    for note in difference.notes:
        console.print(f"  note: {note}", markup=False)
    if difference.clean and not difference.unknown:
        console.print("  nothing differs")
    elif not target.rules.managed:
        console.print("  the profile says managed = false: reported, never changed unasked")
    console.print()


def _print_change(change: "Change") -> None:
    colour = _COLOURS[change.sign]
    name = f" {change.name}" if change.name else ""
    console.print(f"  [{colour}]{change.sign}[/{colour}] {change.setting}{name}: ", end="")
    console.print(change.what, markup=False)
    if change.was:
        console.print(f"      is now: {change.was}", style="dim", markup=False)
    console.print(f"      why: {change.why}", style="dim", markup=False)


def document(target: "Target", difference: "Difference") -> dict[str, Any]:
    """Return what `--json` prints of one bucket."""
    return {
        "bucket": target.endpoint.bucket,
        "stores": list(target.stores),
        "endpoint": target.endpoint.url,
        "provider": target.endpoint.provider.name,
        "public": target.public,
        "managed": target.rules.managed,
        "clean": difference.clean and not difference.unknown,
        "changes": [
            {
                "sign": change.sign,
                "setting": change.setting,
                "name": change.name,
                "what": change.what,
                "was": change.was,
                "why": change.why,
            }
            for change in difference.changes
        ],
        "unknown": dict(difference.unknown),
        "cannot": [
            {"setting": entry.setting, "what": entry.what, "instead": entry.instead} for entry in difference.cannot
        ],
        "notes": list(difference.notes),
    }
