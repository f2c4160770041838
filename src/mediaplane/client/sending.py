"""A file into the store: one PUT, or parts side by side; what was sent before is not sent again."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

import httpx

from mediaplane.client.models import PartUrl, Upload
from mediaplane.client.problems import UploadFailed
from mediaplane.client.transport import PASSING, pause

PIECE_BYTES = 256 * 1024
ATTEMPTS = 6
ALREADY_WRITTEN = 412  # by a PUT whose answer was lost; what is there is verified when the upload is completed

OnProgress = Callable[[int, int], None]  # bytes that the store has, of all
FreshUrls = Callable[[list[int]], list[PartUrl]]


class Sender:
    """Sends one file's bytes to signed URLs."""

    def __init__(self, http: httpx.Client, path: Path, upload: Upload, *, on_progress: OnProgress | None) -> None:
        self._http = http
        self._path = path
        self._upload = upload
        self._on_progress = on_progress
        self._lock = threading.Lock()
        self._size = path.stat().st_size
        self._done = 0

    def send_whole(self) -> None:
        """Send the file in one PUT.

        Raises:
            UploadFailed: the store refuses, or cannot be reached.
        """
        assert self._upload.put is not None
        put = self._upload.put
        if self._upload.received_bytes != self._size:
            self._try(lambda _attempt: self._put(put.url, put.headers, 0, self._size), done=ALREADY_WRITTEN)
        self._count(self._size)

    def send_parts(self, fresh: FreshUrls, *, parallel: int) -> None:
        """Send the parts that the store does not have; `fresh` gives URLs for part numbers.

        Raises:
            UploadFailed: the store refuses a part, or cannot be reached.
        """
        parts = self._upload.parts
        assert parts is not None and parts.part_bytes and parts.count
        self._count(sum(part.size_bytes for part in parts.received))
        have = {part.number for part in parts.received}
        known = {part.number: part for part in parts.urls}
        missing = [number for number in range(1, parts.count + 1) if number not in have]
        with ThreadPoolExecutor(parallel, thread_name_prefix="upload") as pool:
            waiting = [pool.submit(self._send_part, number, known.get(number), fresh) for number in missing]
            try:
                for one in as_completed(waiting):
                    one.result()
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise

    def _send_part(self, number: int, known: PartUrl | None, fresh: FreshUrls) -> None:
        assert self._upload.parts is not None and self._upload.parts.part_bytes
        start = (number - 1) * self._upload.parts.part_bytes
        length = min(self._upload.parts.part_bytes, self._size - start)

        def send(attempt: int) -> httpx.Response:
            # A URL may have expired while the machine slept: every attempt but the first asks for a new one.
            part = known if known is not None and attempt == 1 else fresh([number])[0]
            return self._put(part.url, {}, start, length)

        self._try(send)
        self._count(length)

    def _try(self, send: Callable[[int], httpx.Response], *, done: int | None = None) -> None:
        """Send until the store takes it; the status `done` says that it has it."""
        problem = ""
        for attempt in range(1, ATTEMPTS + 1):
            try:
                answer = send(attempt)
            except httpx.TransportError as error:
                problem = f"the store cannot be reached: {type(error).__name__}"
            else:
                if answer.is_success or answer.status_code == done:
                    return
                problem = f"the store answered {answer.status_code}"
                if answer.status_code not in PASSING | {401, 403, 408, 500}:
                    break
            if attempt < ATTEMPTS:
                pause(attempt)
        raise UploadFailed(f"{self._path.name} was not uploaded: {problem}", self._upload.upload_id)

    def _put(self, url: str, headers: dict[str, str], start: int, length: int) -> httpx.Response:
        sent = {"content-length": str(length), **headers}
        return self._http.put(url, headers=sent, content=self._pieces(start, length))

    def _pieces(self, start: int, length: int) -> Iterator[bytes]:
        with self._path.open("rb") as file:
            file.seek(start)
            left = length
            while left > 0:
                piece = file.read(min(PIECE_BYTES, left))
                if not piece:
                    raise UploadFailed(
                        f"{self._path.name} became shorter while it was uploaded", self._upload.upload_id
                    )
                left -= len(piece)
                yield piece

    def _count(self, size_bytes: int) -> None:
        with self._lock:
            self._done += size_bytes
            if self._on_progress is not None:
                self._on_progress(self._done, self._size)
