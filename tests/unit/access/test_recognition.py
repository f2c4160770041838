"""Recognising who sends a request: what is remembered, for how long, and what is asked once."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from mediaplane.access.keys import make_key
from mediaplane.access.principals import Role
from mediaplane.access.recognition import MAX_REMEMBERED, REMEMBER_SECONDS, Recogniser
from mediaplane.catalog.accounts import ApiKey
from mediaplane.errors import CredentialsInvalid, DatabaseUnavailable

WALL = datetime(2026, 1, 1, tzinfo=UTC)


class Keys:
    """Keys as the database has them, and how often it was asked."""

    def __init__(self) -> None:
        self.rows: dict[str, ApiKey] = {}
        self.asked = 0
        self.error: Exception | None = None

    def add(self, **fields) -> str:
        made = make_key()
        row = ApiKey(made.key_id, made.digest, "me", "mine", "member", [], 0, "", WALL, None, None, None)
        self.rows[made.key_id] = replace(row, **fields)
        return made.text

    async def find(self, key_id: str, _digest: bytes) -> ApiKey | None:
        self.asked += 1
        await asyncio.sleep(0)
        if self.error:
            raise self.error
        return self.rows.get(key_id)


@pytest.fixture
def keys() -> Keys:
    return Keys()


class Clock:
    def __init__(self) -> None:
        self.seconds = 100.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def recogniser(keys, clock) -> Recogniser:
    return Recogniser(keys.find, now=clock, wall=lambda: WALL.timestamp() + clock.seconds)


async def test_recognise_a_key(recogniser, keys):
    """A key stands for its owner, team, role, scopes and tier; audit names its id."""
    text = keys.add(role="validator", scopes=["review"], tier=2)
    who = await recogniser.recognise(f"Bearer {text}")
    assert (who.owner, who.team, who.role, who.tier) == ("me", "mine", Role.VALIDATOR, 2)
    assert who.scopes == {"review"}
    assert who.subject == f"key:{who.key_id}"
    assert await recogniser.recognise(f"bearer  {text} ") == who


@pytest.mark.parametrize(
    "header",
    [None, "", "Bearer", "Bearer ", "Basic bXBf", "mp_abc", "Bearer mp_nokey", "Bearer é", "Bearer " + "a" * 20_000],
)
async def test_recognise_nobody(recogniser, keys, header):
    """What is no key is refused without asking the database."""
    with pytest.raises(CredentialsInvalid):
        await recogniser.recognise(header)
    assert keys.asked == 0


async def test_recognise_a_key_with_another_secret(recogniser, keys):
    """The id alone is worth nothing."""
    text = keys.add()
    stranger = make_key()
    keys.rows[stranger.key_id] = next(iter(keys.rows.values()))
    with pytest.raises(CredentialsInvalid):
        await recogniser.recognise(f"Bearer {stranger.text}")
    assert (await recogniser.recognise(f"Bearer {text}")).owner == "me"


async def test_recognise_again_within_seconds(recogniser, keys, clock):
    """A key is asked for once in a few seconds; a revoked one works until then and not longer."""
    text = keys.add()
    for _ in range(10):
        await recogniser.recognise(f"Bearer {text}")
    assert keys.asked == 1
    keys.rows.clear()
    clock.seconds += REMEMBER_SECONDS - 0.1
    await recogniser.recognise(f"Bearer {text}")
    clock.seconds += 0.2
    with pytest.raises(CredentialsInvalid):
        await recogniser.recognise(f"Bearer {text}")


async def test_recognise_refusal_is_remembered(recogniser, keys):
    """A revoked key that is tried again and again does not cost a query each time."""
    text = make_key().text
    for _ in range(10):
        with pytest.raises(CredentialsInvalid):
            await recogniser.recognise(f"Bearer {text}")
    assert keys.asked == 1


async def test_recognise_key_that_ends_while_remembered(recogniser, keys, clock):
    """What is remembered never outlives the key."""
    text = keys.add(expires_at=WALL + timedelta(seconds=102))
    await recogniser.recognise(f"Bearer {text}")
    keys.rows.clear()
    clock.seconds += 2.1
    with pytest.raises(CredentialsInvalid):
        await recogniser.recognise(f"Bearer {text}")


async def test_recognise_many_at_once_asks_once(recogniser, keys):
    """Requests that come together wait for one answer; one that goes away does not spoil it for the others."""
    text = keys.add()
    waiting = [asyncio.create_task(recogniser.recognise(f"Bearer {text}")) for _ in range(20)]
    await asyncio.sleep(0)
    waiting[0].cancel()
    found = await asyncio.gather(*waiting[1:])
    assert {who.owner for who in found} == {"me"}
    assert keys.asked == 1


async def test_recognise_without_database(recogniser, keys):
    """That the database is away is neither taken for a wrong key nor remembered."""
    text = keys.add()
    keys.error = DatabaseUnavailable("away")
    with pytest.raises(DatabaseUnavailable):
        await recogniser.recognise(f"Bearer {text}")
    keys.error = None
    assert (await recogniser.recognise(f"Bearer {text}")).owner == "me"


async def test_recognise_forgets(recogniser, keys, monkeypatch):
    """However many are tried, what is remembered stays bounded."""
    monkeypatch.setattr("mediaplane.access.recognition.MAX_REMEMBERED", 50)
    assert MAX_REMEMBERED > 50
    for _ in range(120):
        with pytest.raises(CredentialsInvalid):
            await recogniser.recognise(f"Bearer {make_key().text}")
    assert len(recogniser._remembered) == 50
