"""Whatever the API's description allows, and more, asked of a running gateway in every role: no 500, no leak."""

import warnings
from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from schemathesis import GenerationMode

from mediaplane.access.principals import Role
from mediaplane.gateway import streams
from mediaplane.gateway.app import new_api
from tests.services.accounts import make_header
from tests.services.gateway_thread import GatewayThread, gateway_in_thread

SEED = 20261121  # printed with a failure; change it to look elsewhere
EXAMPLES = 4  # of each operation, way of asking and role
MARK = "nobody-else-may-read-this"  # in everything of another team
PATIENCE_SECONDS = 20
ENVIRON = {"STORAGE_MODE": "local", "MEDIAPLANE_AUTH": "on", "MEDIAPLANE_RATE_PER_SECOND": "0"}

_QUIET = settings(
    max_examples=EXAMPLES,
    deadline=None,
    database=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
    print_blob=False,
)


@pytest.fixture(scope="module")
def gateway(module_dsn, tmp_path_factory) -> Iterator[GatewayThread]:
    with gateway_in_thread(module_dsn, tmp_path_factory.mktemp("state"), ENVIRON) as running:
        yield running


@pytest.fixture(scope="module")
def operations() -> list[Any]:
    schema = schemathesis.openapi.from_dict(new_api().openapi())
    return [found.ok() for found in schema.get_all_operations()]


@pytest.mark.parametrize("role", [*Role, None], ids=lambda role: role or "nobody")
def test_whatever_is_asked(gateway, operations, monkeypatch, role):
    """Requests as described and requests that break the description, with ids that exist and others."""
    monkeypatch.setattr(streams, "LIFE_SECONDS", 0.0)  # a stream says how things are, and ends
    header = {} if role is None else gateway.run(lambda running: make_header(running.plane.pool, role))
    ids = gateway.run(add_rows)
    for operation in operations:
        known = {name: ids[name] for name in ids if "{" + name + "}" in operation.path}
        # What breaks the description is refused before anybody is asked who asks: one role that may all, and nobody.
        modes = list(GenerationMode) if role in (Role.ADMIN, None) else [GenerationMode.POSITIVE]
        for mode in modes:
            ask_all(gateway, operation.as_strategy(mode), header, role)
        if known:
            ask_all(gateway, operation.as_strategy(GenerationMode.POSITIVE, path_parameters=known), header, role)


def ask_all(gateway: GatewayThread, cases: Any, header: dict[str, str], role: Role | None) -> None:
    """Ask a few generated requests, and look at what comes back."""

    @seed(SEED)
    @_QUIET
    @given(case=cases)
    def ask(case: Any) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the generator's own parts
            answer = case.call(base_url=gateway.gateway.url, headers=header, timeout=PATIENCE_SECONDS)
        told = f"{case.as_curl_command()}\n{answer.status_code} {answer.content[:500]!r}"
        assert answer.status_code < 500, told
        if answer.status_code >= 400 and answer.content and not case.path.startswith(("/s3/", "/v1/companion/")):
            assert answer.headers["content-type"][0] == "application/problem+json", told
        if role is not Role.ADMIN and role is not Role.SERVICE:
            assert MARK.encode() not in answer.content, told

    try:
        ask()
    except Exception as error:
        if type(error).__name__ == "Unsatisfiable":  # nothing can break a description without fields
            return
        raise


async def add_rows(running: Any) -> dict[str, str]:
    """Add what is another team's; return the ids that paths may name."""
    async with running.plane.pool.connection() as conn:
        await conn.execute(
            "INSERT INTO assets (asset_id, owner, team, title, status) VALUES ('foreign', 'x', 'y', %s, 'ready') "
            "ON CONFLICT DO NOTHING",
            [MARK],
        )
        await conn.execute(
            "INSERT INTO webhook_endpoints (endpoint_id, owner, team, url, title, secret) "
            "VALUES ('foreign', 'x', 'y', 'https://example.com/', %s, %s) ON CONFLICT DO NOTHING",
            [MARK, b"x" * 32],
        )
        await conn.execute(
            "INSERT INTO clips (clip_id, asset_id, owner, team, mode, t_start_ms, t_end_ms, error_message) "
            "VALUES ('foreign', 'foreign', 'x', 'y', 'fast', 0, 1, %s) ON CONFLICT DO NOTHING",
            [MARK],
        )
        await conn.execute(
            "INSERT INTO tasks (task_id, owner, team, title, types) VALUES ('foreign', 'x', 'y', %s, '{*/*}') "
            "ON CONFLICT DO NOTHING",
            [MARK],
        )
        await conn.execute(
            "INSERT INTO submissions (submission_id, task_id, owner, team, task_owner, tiers, asset_id) "
            "VALUES ('foreign', 'foreign', 'x', 'y', 'x', 1, 'foreign') ON CONFLICT DO NOTHING"
        )
        await conn.execute("SELECT follow_asset('foreign')")
    return {
        "task_id": "foreign",
        "submission_id": "foreign",
        "asset_id": "foreign",
        "webhook_id": "foreign",
        "clip_id": "foreign",
        "upload_id": "foreign",
    }
