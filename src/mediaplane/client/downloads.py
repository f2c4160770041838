"""Downloads for `Client`: `media.downloads`. What an asset has, URLs of it, its transcript, and files of all that."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

import httpx

from mediaplane.client.models import Model
from mediaplane.client.problems import ConnectionFailed, Problem, problem_of
from mediaplane.client.transport import Transport

PAGE = 200
MANY = 1000  # wishes of one request


class StoredObject(Model):
    """One object of an asset."""

    role: str
    key: str
    store: str
    content_type: str
    size_bytes: int
    etag: str | None = None


class SignedUrl(Model):
    """A URL and what is behind it; `url` is None for what is not there, or not for the caller to see."""

    url: str | None = None
    content_type: str | None = None
    size_bytes: int | None = None
    filename: str | None = None
    expires_at: datetime | None = None


class Wanted(NamedTuple):
    """What is wanted of an asset: its role (`original`, `frame`, `playback`, `transcript`, …), and which of several."""

    asset_id: str
    role: str = "original"
    name: str = ""


class Downloads:
    """The bytes of assets."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def objects(self, asset_id: str, role: str | None = None) -> Iterator[StoredObject]:
        """Yield what is stored of an asset, by role and key."""
        page: str | None = None
        while True:
            query = {"role": role, "limit": PAGE, "page": page}
            found = self._transport.ask("GET", f"/v1/assets/{_part(asset_id)}/objects", query=query)
            yield from (StoredObject.model_validate(one) for one in found["objects"])
            if (page := found["next"]) is None:
                return

    def url(self, asset_id: str, role: str = "original", name: str = "", *, download: bool = False) -> SignedUrl:
        """Return a URL of one object; with `download` browsers save what is behind it as a file.

        Raises:
            NotFound: the asset has no such object, or it is not for the caller to see.
        """
        path = f"/v1/assets/{_part(asset_id)}/urls/{_part(role)}"
        query = {"name": name or None, "download": download or None}
        return SignedUrl.model_validate(self._transport.ask("GET", path, query=query))

    def urls(self, wishes: Sequence[Wanted | str], *, download: bool = False) -> list[SignedUrl]:
        """Return a URL for each wish, in their order, a thousand in one request; a text is an asset's original."""
        wanted = [Wanted(wish) if isinstance(wish, str) else wish for wish in wishes]
        found: list[SignedUrl] = []
        for start in range(0, len(wanted), MANY):
            body: dict[str, Any] = {"wishes": [wish._asdict() for wish in wanted[start : start + MANY]]}
            answer = self._transport.ask("POST", "/v1/urls", body={**body, "download": download}, once=True)
            found += [SignedUrl.model_validate(one) for one in answer["urls"]]
        return found

    def transcript(self, asset_id: str, kind: str = "txt") -> str:
        """Return what was said, or read on the screen, as `txt`, `vtt`, `srt` or `json`.

        Raises:
            NotFound: there is no text.
        """
        url = self.url(asset_id, "transcript", kind).url
        assert url is not None
        return self._get(url).text

    def save(self, path: str | Path, asset_id: str, role: str = "original", name: str = "") -> Path:
        """Write one object to a file, under the name of a download where `path` is a directory; return the file.

        It has its name only once it is whole.

        Raises:
            NotFound: the asset has no such object.
            ConnectionFailed: it broke off.
        """
        signed = self.url(asset_id, role, name, download=True)
        assert signed.url is not None
        target = Path(path)
        if target.is_dir():
            target /= Path(signed.filename or f"{asset_id}.{role}").name
        partial = target.with_name(f"{target.name}.part")
        try:
            with self._transport.http.stream("GET", signed.url) as answer, partial.open("wb") as file:
                if not answer.is_success:
                    answer.read()
                    raise problem_of(answer)
                for piece in answer.iter_bytes():
                    file.write(piece)
        except httpx.TransportError as error:
            partial.unlink(missing_ok=True)
            raise ConnectionFailed(f"{asset_id} {role} could not be fetched: {error}") from error
        except Problem:
            partial.unlink(missing_ok=True)
            raise
        return partial.replace(target)

    def _get(self, url: str) -> httpx.Response:
        try:
            answer = self._transport.http.get(url)
        except httpx.TransportError as error:
            raise ConnectionFailed(f"it could not be fetched: {error}") from error
        if not answer.is_success:
            raise problem_of(answer)
        return answer


def _part(text: str) -> str:
    return quote(text, safe="")
