"""URLs of what an asset has: one, or a thousand in one call; and the list of what there is."""

from collections import defaultdict
from collections.abc import Iterable
from typing import Annotated

from fastapi import APIRouter, Query, Response
from pydantic import TypeAdapter

from mediaplane.access.downloads import NOTHING, Issued, Urls
from mediaplane.catalog import assets, downloads
from mediaplane.catalog.audit import NewRecord
from mediaplane.catalog.downloads import Found, Wish
from mediaplane.errors import NotFound
from mediaplane.gateway.context import Id
from mediaplane.gateway.once import JustOnce
from mediaplane.gateway.pages import DEFAULT_LIMIT, MAX_LIMIT, read_object_page, write_page
from mediaplane.gateway.url_views import (
    ObjectName,
    ObjectsPage,
    ObjectView,
    RoleName,
    UrlsRequest,
    UrlsView,
)
from mediaplane.gateway.who import May, Permit, Thing

router = APIRouter(prefix="/v1", tags=["downloads"])

_AS_JSON = TypeAdapter(Issued)


@router.get("/assets/{asset_id}/objects")
async def list_objects(
    permit: May.read,
    asset_id: Id,
    role: Annotated[RoleName | None, Query()] = None,
    limit: Annotated[int, Query(ge=1, le=MAX_LIMIT)] = DEFAULT_LIMIT,
    page: str | None = None,
) -> ObjectsPage:
    """Return what is stored of an asset, by role and key: what URLs can be asked for."""
    after = read_object_page(page)
    async with permit.rows() as conn:
        await assets.get(conn, asset_id, permit.viewer.owner, permit.viewer.team)
        rows = await downloads.page(conn, asset_id, role=role, after=after, limit=limit + 1)
    last = rows[limit - 1] if len(rows) > limit else None
    return ObjectsPage(
        objects=[ObjectView.model_validate(row) for row in rows[:limit]],
        next=write_page(last.role, last.key) if last else None,
    )


@router.get("/assets/{asset_id}/urls/{role}", response_model=Issued)
async def show_url(
    permit: May.play,
    asset_id: Id,
    role: RoleName,
    *,
    name: Annotated[ObjectName, Query()] = "",
    download: bool = False,
) -> Response:
    """Return a URL of one object of the asset; with `download` it is saved as a file instead of being shown."""
    wish = Wish(asset_id, role, name)
    row = await permit.find(downloads.find, wish)
    issued = _maker(permit).issue([(wish, row)], download=download)[0] if row else NOTHING
    if row is None or issued is NOTHING:
        raise NotFound(f"there is no {role} {name}".rstrip() + f" of an asset {asset_id}")
    await permit.here.audit.append(_records(permit, [((wish, row), issued)]))
    return Response(_AS_JSON.dump_json(issued), media_type="application/json")


@router.post("/urls", response_model=UrlsView)
async def make_urls(permit: May.play, wanted: UrlsRequest, once: JustOnce) -> Response:
    """Return URLs for up to 1,000 wishes, in their order; without one what is not there, or not the caller's to see."""
    wishes = [Wish(wish.asset_id, wish.role, wish.name) for wish in wanted.wishes]

    async def make() -> tuple[int, UrlsView]:
        async with permit.rows() as conn:
            rows = await downloads.find(conn, wishes, permit.viewer.owner, permit.viewer.team)
        made = _maker(permit).issue(rows.items(), download=wanted.download)
        await permit.here.audit.append(_records(permit, zip(rows.items(), made, strict=True)))
        by_wish = dict(zip(rows, made, strict=True))
        # taken as they are: checking a thousand of our own once more would cost as much as signing them
        return 200, UrlsView.model_construct(urls=[by_wish.get(wish, NOTHING) for wish in wishes])

    return await once.answer(make)


def _maker(permit: Permit) -> Urls:
    plane = permit.here.plane
    return Urls(plane.stores, plane.settings.public_url, permit.here.tokens.make_token)


def _records(permit: Permit, told: Iterable[tuple[tuple[Wish, Found], Issued]]) -> list[NewRecord]:
    """Return what is to be known of URLs for other people's data: one record for all things of one owner."""
    mine = permit.principal.owner
    whose: dict[tuple[str, str], list[tuple[Wish, Found, Issued]]] = defaultdict(list)
    for (wish, row), issued in told:
        if row.owner != mine and issued is not NOTHING:
            whose[row.owner, row.team].append((wish, row, issued))
    records = []
    for (owner, team), issues in whose.items():
        until = max((issued.expires_at for _, _, issued in issues if issued.expires_at), default=None)
        thing = Thing("asset", issues[0][0].asset_id, owner, team)
        if len(issues) > 1:
            thing = Thing("objects", f"{len(issues)} objects", owner, team)
        names = [f"{row.store}/{row.key}" if row.key else f"{wish.asset_id} {wish.role}" for wish, row, _ in issues]
        records.append(permit.record("url.issued", thing, until=until, objects=names))
    return records
