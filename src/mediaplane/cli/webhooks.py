"""`webhook add|ls|rm|log|replay`: who is told of events, and what each was told."""

from datetime import UTC, datetime, timedelta

import typer

from mediaplane.catalog import webhooks
from mediaplane.catalog.events import EVENT_TYPES
from mediaplane.catalog.webhooks import Delivery, Endpoint
from mediaplane.cli.output import console, print_json, print_table
from mediaplane.cli.session import with_plane
from mediaplane.errors import InvalidWebhook, WebhookNotFound
from mediaplane.media.webhooks import make_secret, write_secret
from mediaplane.upkeep.addresses import read_target
from mediaplane.wiring import Plane

JSON = typer.Option(False, "--json", help="Print one JSON document and nothing else")
WEBHOOK = typer.Argument(help="Id of the webhook, as `mediaplane webhook ls` prints it", metavar="WEBHOOK")

app = typer.Typer(
    name="webhook",
    help="Tell other servers of events: add, ls, rm, log, replay.",
    no_args_is_help=True,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.command()
def add(
    url: str = typer.Argument(help="Where to POST; https, on a public address"),
    title: str = typer.Option("", "--title", help="What it is for"),
    types: list[str] = typer.Option(
        [], "--type", help="Only events of this type, e.g. asset.ready; may be given several times"
    ),
    everybody: bool = typer.Option(False, "--everybody", help="Events of every owner and team, not only one's own"),
    as_json: bool = JSON,
) -> None:
    """Register a webhook and print its secret, which is shown this once."""
    if unknown := sorted(set(types) - set(EVENT_TYPES)):
        raise InvalidWebhook(f"--type: {unknown[0]!r} is none of {', '.join(EVENT_TYPES)}")
    secret = make_secret()

    async def register(plane: Plane) -> Endpoint:
        settings = plane.settings
        read_target(url, private=settings.webhook_private)
        async with plane.pool.connection() as conn:
            return await webhooks.add(
                conn,
                owner=settings.owner,
                team=settings.team,
                sees_owner=None if everybody else settings.owner,
                sees_team=None if everybody else settings.team,
                url=url,
                title=title,
                types=types,
                secret=secret,
            )

    made = with_plane(register)
    if as_json:
        print_json({**_document(made), "secret": write_secret(secret)})
        return
    console.print(f"webhook {made.endpoint_id} for {url}")
    console.print(f"its secret, to verify what it is sent (keep it, it is not shown again): {write_secret(secret)}")


@app.command("ls")
def list_webhooks(as_json: bool = JSON) -> None:
    """List webhooks, of every owner."""

    async def read(plane: Plane) -> list[Endpoint]:
        async with plane.pool.connection() as conn:
            return await webhooks.page(conn, owner=None, team=None)

    found = with_plane(read)
    if as_json:
        print_json({"webhooks": [_document(endpoint) for endpoint in found]})
        return
    if not found:
        console.print("no webhooks yet: register one with `mediaplane webhook add URL`")
        return
    rows = [
        (one.endpoint_id, one.owner, one.url, ", ".join(one.types) or "all", one.disabled_reason or "on")
        for one in found
    ]
    print_table(("webhook", "owner", "url", "types", "state"), rows)


@app.command()
def rm(webhook_id: str = WEBHOOK) -> None:
    """Remove a webhook and what it was still to be told."""

    async def remove(plane: Plane) -> None:
        async with plane.pool.connection() as conn:
            await webhooks.remove(conn, webhook_id, owner=None, team=None)

    with_plane(remove)
    console.print(f"{webhook_id} removed")


@app.command("log")
def show_log(
    webhook_id: str = WEBHOOK,
    state: str = typer.Option("", "--state", help="Only waiting, delivered or failed ones"),
    limit: int = typer.Option(50, "--limit", min=1, max=1000, help="How many"),
    as_json: bool = JSON,
) -> None:
    """List what a webhook was told, newest first."""

    async def read(plane: Plane) -> list[Delivery]:
        async with plane.pool.connection() as conn:
            await webhooks.get(conn, webhook_id, owner=None, team=None)
            return await webhooks.deliveries(conn, webhook_id, state=state or None, limit=limit)

    found = with_plane(read)
    if as_json:
        print_json({"deliveries": [_delivery(one) for one in found]})
        return
    rows = [
        (one.delivery_id, one.type, one.asset_id, one.state, one.attempts, one.last_status, one.last_error)
        for one in found
    ]
    print_table(("delivery", "type", "asset", "state", "attempts", "status", "error"), rows, numeric=("attempts",))


@app.command()
def replay(
    webhook_id: str = WEBHOOK,
    delivery: int = typer.Option(0, "--delivery", min=0, help="This delivery, whatever became of it"),
    hours: float = typer.Option(
        0, "--hours", min=0, help="Everything that failed in the last hours [default: all of it]"
    ),
) -> None:
    """Tell a webhook again: one delivery, or all that failed. It is enabled if it was disabled."""
    since = datetime.now(UTC) - timedelta(hours=hours) if hours else datetime.min.replace(tzinfo=UTC)

    async def queue(plane: Plane) -> int:
        async with plane.pool.connection() as conn, conn.transaction():
            await webhooks.get(conn, webhook_id, owner=None, team=None)
            await webhooks.enable(conn, webhook_id)
            if not delivery:
                return await webhooks.replay_failed(conn, webhook_id, since)
            if not (queued := await webhooks.replay_one(conn, webhook_id, delivery)):
                raise WebhookNotFound(f"{webhook_id} with a delivery {delivery} that can still be replayed")
            return queued

    console.print(f"{with_plane(queue)} deliveries wait to be sent again; a worker does it")


def _document(endpoint: Endpoint) -> dict[str, object]:
    return {
        "webhook_id": endpoint.endpoint_id,
        "owner": endpoint.owner,
        "team": endpoint.team,
        "url": endpoint.url,
        "title": endpoint.title,
        "types": endpoint.types,
        "disabled_at": endpoint.disabled_at,
        "disabled_reason": endpoint.disabled_reason,
        "created_at": endpoint.created_at,
    }


def _delivery(one: Delivery) -> dict[str, object]:
    return {
        "delivery_id": one.delivery_id,
        "event_id": one.event_id,
        "type": one.type,
        "asset_id": one.asset_id,
        "state": one.state,
        "attempts": one.attempts,
        "due_at": one.due_at,
        "last_status": one.last_status,
        "last_error": one.last_error,
        "tries": one.tries,
        "delivered_at": one.delivered_at,
    }
