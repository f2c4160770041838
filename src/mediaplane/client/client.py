"""The gateway's API for Python: one method an operation, typed, trying again by itself where that is safe.

with Client("https://media.example.com", key="mp_…") as media:
    asset_id = media.upload("talk.mp4").asset_id
    media.wait_until_ready(asset_id)
    for hit in media.search("quarterly figures"):
        print(hit.t_start_ms, hit.playback_url)
"""

import hashlib
import time
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

import httpx

from mediaplane.client import streaming
from mediaplane.client.downloads import Downloads
from mediaplane.client.models import (
    Asset,
    AssetDetail,
    Clip,
    Delivery,
    Event,
    Highlights,
    Hit,
    Hits,
    Moment,
    PartUrl,
    Plan,
    PlanHolder,
    Replay,
    Segment,
    Upload,
    Usage,
    Webhook,
)
from mediaplane.client.problems import ClientError, ConnectionFailed, Problem, UploadFailed
from mediaplane.client.purges import Purges
from mediaplane.client.review import Reviews, Submissions, Tasks
from mediaplane.client.sending import OnProgress, Sender
from mediaplane.client.transport import Transport

PAGE = 200
POLL_SECONDS = 1.0


class Client:
    """A connection to one gateway. May be shared by threads."""

    def __init__(self, url: str, *, key: str | None = None, http: httpx.Client | None = None) -> None:
        """Take the gateway's URL and an API key or token; `http` brings proxies or certificates of one's own."""
        self._transport = Transport(url, key=key, http=http)
        self.downloads = Downloads(self._transport)
        self.tasks = Tasks(self._transport)
        self.submissions = Submissions(self._transport)
        self.review = Reviews(self._transport)
        self.purges = Purges(self._transport)

    def __enter__(self) -> Self:
        """Use it in a `with` block, which closes it."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the connections."""
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._transport.close()

    # Assets

    def assets(self, *, status: str | None = None) -> Iterator[Asset]:
        """Yield assets, newest first."""
        query = {"status": status, "limit": PAGE}
        return (Asset.model_validate(one) for one in self._pages("/v1/assets", "assets", query))

    def asset(self, asset_id: str) -> AssetDetail:
        """Return one asset with its stages and what is stored of it."""
        return AssetDetail.model_validate(self._transport.ask("GET", _path("assets", asset_id)))

    def replay(self, asset_id: str, stage: str, changes: Mapping[str, str] | None = None) -> Replay:
        """Work on an asset again with other parameters of a stage: `replay(id, "ocr", {"languages": "eng,deu"})`."""
        body = {"stage": stage, "set": dict(changes or {})}
        return Replay.model_validate(self._transport.ask("POST", _path("assets", asset_id, "replays"), body=body))

    def delete_asset(self, asset_id: str) -> None:
        """Remove an asset and its bytes."""
        self._transport.ask("DELETE", _path("assets", asset_id))

    def playback_url(self, asset_id: str) -> str | None:
        """Return an HLS URL that plays the asset, None while nothing of it can be played."""
        return self.asset(asset_id).playback_url

    def segments(self, asset_id: str) -> Iterator[Segment]:
        """Yield what was read or heard in an asset, by time."""
        found = self._pages(_path("assets", asset_id, "segments"), "segments", {"limit": PAGE})
        return (Segment.model_validate(one) for one in found)

    def wait_until_ready(self, asset_id: str, *, seconds: float = 3600) -> AssetDetail:
        """Wait until the asset is ready, or failed, which its `status` says.

        Raises:
            TimeoutError: it took longer.
        """
        until = time.monotonic() + seconds
        while (found := self.asset(asset_id)).status not in ("ready", "failed"):
            _sleep(until, f"{asset_id} is still {found.status}")
        return found

    # Search and clips

    def search(self, query: str, *, asset_id: str | None = None, most: int = 100) -> Iterator[Hit]:
        """Yield moments that match, best first, at most so many."""
        page: str | None = None
        while most > 0:
            found = self.search_page(query, asset_id=asset_id, limit=min(most, 100), page=page)
            yield from found.hits
            most, page = most - len(found.hits), found.next
            if page is None:
                return

    def search_page(self, query: str, *, asset_id: str | None = None, limit: int = 20, page: str | None = None) -> Hits:
        """Return one page of moments, with what was read for misspelt words."""
        asked = {"q": query, "asset_id": asset_id, "limit": limit, "page": page}
        return Hits.model_validate(self._transport.ask("GET", "/v1/search", query=asked))

    def clip(
        self,
        asset_id: str,
        *,
        start_ms: int,
        end_ms: int,
        mode: str = "fast",
        padding_ms: int | None = None,
        title: str = "",
        style: str = "original",
        wait_seconds: float = 0,
    ) -> Clip:
        """Ask for a cut, and wait for it at most `wait_seconds`; asked twice it is made once.

        Raises:
            TimeoutError: it was waited for, and took longer.
        """
        body = {"t_start_ms": start_ms, "t_end_ms": end_ms, "mode": mode, "padding_ms": padding_ms}
        body |= {"title": title, "style": style}
        made = Clip.model_validate(self._transport.ask("POST", _path("assets", asset_id, "clips"), body=body))
        until = time.monotonic() + wait_seconds
        while wait_seconds and made.status == "processing":
            _sleep(until, f"clip {made.clip_id} is still being made")
            made = self.get_clip(made.clip_id)
        return made

    def get_clip(self, clip_id: str) -> Clip:
        """Return a clip, with the URL of its bytes once it is ready."""
        return Clip.model_validate(self._transport.ask("GET", _path("clips", clip_id)))

    def clips(self, asset_id: str) -> list[Clip]:
        """Return the clips of an asset by time."""
        found = self._transport.ask("GET", _path("assets", asset_id, "clips"))["clips"]
        return [Clip.model_validate(one) for one in found]

    def delete_clip(self, clip_id: str) -> None:
        """Remove a clip and its bytes."""
        self._transport.ask("DELETE", _path("clips", clip_id))

    # Highlights

    def highlights(self, asset_id: str) -> Highlights:
        """Return the moments of an asset that are worth a clip.

        Raises:
            Problem: it has none, or (409) is still being processed.
        """
        return _highlights(self._transport.send("GET", _path("assets", asset_id, "highlights")))

    def write_highlights(self, asset_id: str, moments: Iterable[Moment], *, etag: str | None = None) -> Highlights:
        """Store moments in place of the version `etag`, without it where there are none yet.

        Raises:
            Problem: 412 where somebody else wrote meanwhile.
        """
        body = {"moments": [moment.model_dump() for moment in moments]}
        extra = {"if-match": etag} if etag else None
        path = _path("assets", asset_id, "highlights")
        return _highlights(self._transport.send("PUT", path, body=body, extra=extra, once=etag is None))

    def cut_highlights(
        self, asset_id: str, *, numbers: list[int] | None = None, style: str | None = None, mode: str = "exact"
    ) -> list[Clip]:
        """Have a clip made of each highlight, or of those with these numbers, from 1; asked twice it is made once."""
        body = {"numbers": numbers, "style": style, "mode": mode}
        answer = self._transport.ask("POST", _path("assets", asset_id, "highlights", "clips"), body=body)
        return [Clip.model_validate(one) for one in answer["clips"]]

    # Uploads

    def upload(
        self,
        path: str | Path,
        *,
        title: str = "",
        content_type: str = "",
        resume: str | None = None,
        digest: bool = False,
        in_parts: bool | None = None,
        task: str | None = None,
        submission: str | None = None,
        parallel: int = 4,
        on_progress: OnProgress | None = None,
    ) -> Upload:
        """Upload a file, in parts side by side where it is large, and return the upload with its `asset_id`.

        `resume` goes on with an upload that broke off. With `digest` the file is hashed first: bytes that are there
        already are not sent, and what arrives is verified. `in_parts` insists on parts or on one PUT. `task` says what
        it is sent in for, `submission` which one needed changes.

        Raises:
            UploadFailed: the store takes no more; its `upload_id` is what to resume.
            Problem: the gateway refuses.
        """
        file = Path(path)
        wish = {"title": title, "content_type": content_type, "multipart": in_parts}
        wish |= {"task": task, "submission": submission} if task else {}
        begun = self.get_upload(resume) if resume else self._begin(file, wish, digest=digest)
        if begun.state == "open":
            begun = self._send(file, begun, parallel=parallel, on_progress=on_progress)
        if begun.state != "completed":
            raise UploadFailed(f"{file.name}: the upload is {begun.state}: {begun.error_message or 'begin anew'}")
        return begun

    def uploads(self) -> Iterator[Upload]:
        """Yield one's open uploads, newest first: what can be gone on with."""
        return (Upload.model_validate(one) for one in self._pages("/v1/uploads", "uploads", {"limit": PAGE}))

    def get_upload(self, upload_id: str) -> Upload:
        """Return an upload: what the store has of it, and fresh URLs for what is missing."""
        return Upload.model_validate(self._transport.ask("GET", _path("uploads", upload_id)))

    def abort_upload(self, upload_id: str) -> None:
        """Give an upload up, and remove what came of it."""
        self._transport.ask("DELETE", _path("uploads", upload_id))

    # Events

    def events(self, asset_id: str | None = None, *, after: int | None = None) -> Iterator[Event]:
        """Yield what happens to an asset, or to all that one may see, without end; the first is a `snapshot`.

        `after` is the `id` of the last event seen: then what was missed comes first.
        """
        path = _path("assets", asset_id, "events") if asset_id else "/v1/events"
        return streaming.follow(self._transport, path, after=after)

    # Webhooks

    def webhooks(self) -> list[Webhook]:
        """Return one's webhooks."""
        return [Webhook.model_validate(one) for one in self._transport.ask("GET", "/v1/webhooks")["webhooks"]]

    def add_webhook(self, url: str, *, types: list[str] | None = None, title: str = "") -> Webhook:
        """Register a webhook; its `secret` is told now and never again."""
        body = {"url": url, "types": types or [], "title": title}
        return Webhook.model_validate(self._transport.ask("POST", "/v1/webhooks", body=body, once=True))

    def rotate_webhook(self, webhook_id: str) -> Webhook:
        """Give a webhook a new secret; for a day the old one signs beside it."""
        return Webhook.model_validate(self._transport.ask("POST", _path("webhooks", webhook_id, "rotate"), once=True))

    def enable_webhook(self, webhook_id: str) -> Webhook:
        """Let a webhook be told again that was disabled."""
        return Webhook.model_validate(self._transport.ask("POST", _path("webhooks", webhook_id, "enable")))

    def delete_webhook(self, webhook_id: str) -> None:
        """Remove a webhook."""
        self._transport.ask("DELETE", _path("webhooks", webhook_id))

    def deliveries(self, webhook_id: str, *, state: str | None = None) -> Iterator[Delivery]:
        """Yield what a webhook was told, newest first."""
        query = {"state": state, "limit": PAGE}
        found = self._pages(_path("webhooks", webhook_id, "deliveries"), "deliveries", query, cursor="before")
        return (Delivery.model_validate(one) for one in found)

    def replay_webhook(self, webhook_id: str, *, delivery_id: int | None = None, since: datetime | None = None) -> int:
        """Have a webhook told again: one delivery, or all that failed since a moment; return how many wait."""
        path = _path("webhooks", webhook_id)
        if delivery_id is not None:
            answer = self._transport.ask("POST", f"{path}/deliveries/{delivery_id}/replay")
        else:
            body = {"since": since.isoformat() if since else None}
            answer = self._transport.ask("POST", f"{path}/replay", body=body)
        return int(answer["queued"])

    # Plans and usage

    def usage(self, owner: str | None = None, *, team: str | None = None) -> Usage:
        """Return one's usage and limits; operators may name another owner."""
        return Usage.model_validate(self._transport.ask("GET", "/v1/usage", query={"owner": owner, "team": team}))

    def plans(self) -> list[Plan]:
        """Return the plans of the deployment. For operators."""
        return [Plan.model_validate(one) for one in self._transport.ask("GET", "/v1/plans")["plans"]]

    def plan_holders(self, owner: str | None = None, *, past: bool = False) -> Iterator[PlanHolder]:
        """Yield who was given which plan, from when. For operators."""
        query = {"owner": owner, "past": past, "limit": PAGE}
        return (PlanHolder.model_validate(one) for one in self._pages("/v1/plans/holders", "holders", query))

    def set_plan(
        self,
        owner: str,
        plan: str | None,
        *,
        team: str = "*",
        limits: Mapping[str, int | None] | None = None,
        since: datetime | None = None,
    ) -> PlanHolder:
        """Give an owner a plan, or take it away with None; `limits` are those that differ. For operators."""
        body = {"owner": owner, "team": team, "plan": plan, "limits": dict(limits or {})}
        body["since"] = since.isoformat() if since else None
        return PlanHolder.model_validate(self._transport.ask("PUT", "/v1/plans/holders", body=body))

    def is_ready(self) -> bool:
        """Return whether the gateway can do its work just now."""
        try:
            self._transport.ask("GET", "/readyz", once=True)
        except ClientError:
            return False
        return True

    def _begin(self, file: Path, wish: Mapping[str, Any], *, digest: bool) -> Upload:
        body: dict[str, Any] = {"name": file.name, "size_bytes": file.stat().st_size, **wish}
        if digest:
            with file.open("rb") as opened:
                body["sha256"] = hashlib.file_digest(opened, "sha256").hexdigest()
        return Upload.model_validate(self._transport.ask("POST", "/v1/uploads", body=body))

    def _send(self, file: Path, upload: Upload, *, parallel: int, on_progress: OnProgress | None) -> Upload:
        if upload.size_bytes != file.stat().st_size:
            raise UploadFailed(f"{file.name} has another size than the upload that was begun", upload.upload_id)
        sender = Sender(self._transport.http, file, upload, on_progress=on_progress)
        path = _path("uploads", str(upload.upload_id))

        def fresh(numbers: list[int]) -> list[PartUrl]:
            answer = self._transport.ask("POST", f"{path}/parts", body={"numbers": numbers}, once=True)
            return [PartUrl.model_validate(one) for one in answer["urls"]]

        try:
            if upload.parts is not None:
                sender.send_parts(fresh, parallel=parallel)
            else:
                sender.send_whole()
            return Upload.model_validate(self._transport.ask("POST", f"{path}/complete", body={}))
        except Problem as problem:
            raise UploadFailed(f"{file.name}: {problem.detail}", upload.upload_id) from problem
        except ConnectionFailed as error:
            raise UploadFailed(f"{file.name}: {error}", upload.upload_id) from error

    def _pages(self, path: str, name: str, query: Mapping[str, Any], *, cursor: str = "page") -> Iterator[Any]:
        place: Any = None
        while True:
            found = self._transport.ask("GET", path, query={**query, cursor: place})
            yield from found[name]
            place = found["next"]
            if place is None:
                return


def _highlights(answer: httpx.Response) -> Highlights:
    return Highlights.model_validate({**answer.json(), "etag": answer.headers.get("etag", "")})


def _path(*parts: str) -> str:
    return "/v1/" + "/".join(quote(part, safe="") for part in parts)


def _sleep(until: float, what: str) -> None:
    if time.monotonic() >= until:
        raise TimeoutError(what)
    time.sleep(POLL_SECONDS)
