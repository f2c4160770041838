"""Replay: an asset worked on once more; only what depends on a change is done again."""

from collections.abc import Mapping
from dataclasses import dataclass

from mediaplane.catalog import assets, replays, runs
from mediaplane.catalog.replays import Replay
from mediaplane.catalog.runs import StageRun
from mediaplane.errors import AssetNotReady, InvalidReplay, SettingInvalid
from mediaplane.pipeline.flow import Flow
from mediaplane.pipeline.parameters import ocr_options, read_changes, settings_for
from mediaplane.pipeline.tools.models import check_engine
from mediaplane.postgres import Connection
from mediaplane.settings import Settings


@dataclass(frozen=True, slots=True)
class Begun:
    """A replay, and the latest run of each stage and chunk as it found them or added them."""

    replay: Replay
    runs: list[StageRun]

    @property
    def reused(self) -> list[StageRun]:
        """The runs that stand as they were."""
        return [run for run in self.runs if self.replay.reused(run)]

    @property
    def begun(self) -> list[StageRun]:
        """The runs that are to be done; what follows from them is planned when they have ended."""
        return [run for run in self.runs if run.state in ("queued", "running")]


async def begin_replay(
    conn: Connection,
    flow: Flow,
    asset_id: str,
    *,
    stage: str,
    given: Mapping[str, str],
    owner: str | None = None,
    team: str | None = None,
) -> Begun:
    """Plan the asset once more with `given` parameters of a stage, which hold for it from now on.

    Stages that failed are tried again, also where nothing is given.

    Raises:
        AssetNotFound: there is no such asset, or it is not the owner's, or the team's, where those are given.
        AssetNotReady: its original is still being uploaded.
        InvalidReplay: there is no such stage or parameter, or it may not have the value.
    """
    changes = read_changes(stage, given)
    async with conn.transaction():
        asset = await assets.lock(conn, asset_id)
        await assets.get(conn, asset_id, owner, team)
        if asset.status == "uploading":
            raise AssetNotReady(f"{asset_id} is still being uploaded: there is nothing to work on yet")
        before = await replays.latest(conn, asset_id)
        params = (before.params if before else {}) | changes
        _check_reader(settings_for(flow.settings, params))
        replay = await replays.add(conn, asset_id, cause="replay", params=params)
        await flow.advance(conn, asset_id)
        found = [run for run in await runs.of_asset(conn, asset_id) if not run.subject]
    return Begun(replay, found)


def _check_reader(settings: Settings) -> None:
    if options := ocr_options(settings):
        try:
            check_engine(options.engine, options.languages)
        except SettingInvalid as error:
            raise InvalidReplay(error.message) from error
