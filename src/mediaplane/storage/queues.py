"""Queues that buckets tell of their objects in: taken from by HTTP, as Amazon SQS and Cloudflare Queues have it.

Blocking, so it is run in a thread. A message that is not acknowledged comes back by itself.

Source: Amazon SQS API Reference, ReceiveMessage; Cloudflare Queues, "Pull consumers".
"""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol
from urllib.parse import urlsplit

import urllib3

from mediaplane.errors import AccessDenied, StorageError
from mediaplane.settings import Settings
from mediaplane.storage.buckets import open_client
from mediaplane.storage.credentials import RoleKeys
from mediaplane.storage.endpoint import S3Endpoint, endpoint_url, find_store, read_endpoint
from mediaplane.storage.failures import translated

BATCH = 10  # SQS gives no more at a time
HIDDEN_SECONDS = 120  # a message that was taken and not acknowledged comes back after this
WAIT_SECONDS = 5  # SQS is asked for a message that may come, which costs less than asking again
_TIMEOUT_SECONDS = 20.0
_CLOUDFLARE = re.compile(r"/client/v4/accounts/[^/]+/queues/[^/]+")
_SQS_HOST = re.compile(r"(?:[a-z0-9-]+\.)?sqs\.([a-z0-9-]+)\.amazonaws\.com(?:\.cn)?")


@dataclass(frozen=True, slots=True)
class Message:
    """One message as a queue hands it out; `receipt` acknowledges it."""

    message_id: str
    receipt: str
    body: str


class Queue(Protocol):
    """One queue. Every method may raise `StorageError` or `AccessDenied`."""

    @property
    def name(self) -> str: ...
    def receive(self) -> list[Message]: ...  # none: it is empty just now
    def acknowledge(self, receipts: Sequence[str]) -> None: ...


def open_queues(settings: Settings) -> list[Queue]:
    """Return the queues that the settings name.

    Raises:
        SettingInvalid: there are no keys to ask SQS with.
    """
    token = settings.notice_queue_token
    return [
        CloudflareQueue(url, token) if _CLOUDFLARE.fullmatch(urlsplit(url).path) else SqsQueue(url, settings)
        for url in settings.notice_queues
    ]


class SqsQueue:
    """A queue of Amazon SQS, or of a server that speaks like it."""

    def __init__(self, url: str, settings: Settings) -> None:
        self._url = url
        self._client: Any = open_client(_sqs_endpoint(url, settings), service="sqs")

    @property
    def name(self) -> str:
        """The last part of its URL."""
        return self._url.rsplit("/", 1)[-1]

    def receive(self) -> list[Message]:
        """Return messages, hidden from others for a while; waits a moment for the first."""
        with translated(f"queue {self.name}", self._url):
            answer = self._client.receive_message(
                QueueUrl=self._url,
                MaxNumberOfMessages=BATCH,
                VisibilityTimeout=HIDDEN_SECONDS,
                WaitTimeSeconds=WAIT_SECONDS,
            )
        return [Message(one["MessageId"], one["ReceiptHandle"], one["Body"]) for one in answer.get("Messages", ())]

    def acknowledge(self, receipts: Sequence[str]) -> None:
        """Remove messages; those that SQS fails to remove come again, which does no harm."""
        entries = [{"Id": str(at), "ReceiptHandle": receipt} for at, receipt in enumerate(receipts)]
        with translated(f"queue {self.name}", self._url):
            self._client.delete_message_batch(QueueUrl=self._url, Entries=entries)


class CloudflareQueue:
    """A queue of Cloudflare with an HTTP pull consumer."""

    def __init__(self, url: str, token: str) -> None:
        self._url = url
        self._token = token

    @property
    def name(self) -> str:
        """The queue's id."""
        return self._url.rsplit("/", 1)[-1]

    def receive(self) -> list[Message]:
        """Return messages, hidden from others for a while; does not wait for any."""
        asked = {"batch_size": BATCH, "visibility_timeout_ms": HIDDEN_SECONDS * 1000}
        result = self._ask("pull", asked).get("result")
        found = result.get("messages") if isinstance(result, dict) else None
        if not isinstance(found, list):
            raise StorageError(f"queue {self.name}: Cloudflare answered something else", retryable=True)
        return [Message(str(one["id"]), str(one["lease_id"]), _as_text(one.get("body"))) for one in found]

    def acknowledge(self, receipts: Sequence[str]) -> None:
        """Remove messages."""
        self._ask("ack", {"acks": [{"lease_id": receipt} for receipt in receipts], "retries": []})

    def _ask(self, action: str, document: Any) -> dict[str, Any]:
        """Return what Cloudflare answers.

        Raises:
            AccessDenied: the token is wrong or may not.
            StorageError: anything else.
        """
        with translated(f"queue {self.name}", self._url):
            answer = urllib3.request(
                "POST",
                f"{self._url}/messages/{action}",
                json=document,
                headers={"authorization": f"Bearer {self._token}"},
                timeout=_TIMEOUT_SECONDS,
                retries=False,
                redirect=False,
            )
        if answer.status in (401, 403):
            raise AccessDenied(f"queue {self.name}", "check MEDIAPLANE_NOTICE_QUEUE_TOKEN: it needs Queues, Edit")
        try:
            said = json.loads(answer.data)
        except ValueError:
            said = None
        if answer.status != 200 or not isinstance(said, dict) or said.get("success") is False:
            passing = answer.status == 429 or answer.status >= 500 or answer.status == 200
            raise StorageError(f"queue {self.name}: Cloudflare answered {answer.status}", retryable=passing)
        return said


def _as_text(body: Any) -> str:
    return body if isinstance(body, str) else json.dumps(body)


def _sqs_endpoint(url: str, settings: Settings) -> S3Endpoint:
    """Return where and with which keys to ask: those of the store, if it is Amazon's too or the queue's is not."""
    parts = urlsplit(url)
    origin = f"{parts.scheme}://{parts.netloc}"
    amazon = _SQS_HOST.fullmatch(parts.hostname or "")
    if endpoint_url(settings, find_store(settings)):
        endpoint = read_endpoint(settings)
        if endpoint.provider.name == "aws" or not amazon:
            return replace(endpoint, url=origin, region=amazon[1] if amazon else endpoint.region)
    return S3Endpoint(
        origin, "", "", "", region=amazon[1] if amazon else "us-east-1", role=RoleKeys(settings.s3_profile)
    )
