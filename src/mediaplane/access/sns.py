"""Messages of Amazon SNS: proved by their signature, whoever brings them, and subscriptions confirmed.

Only topics that are named in the settings count: anybody can make a topic of his own, and SNS signs for all alike.
Nothing is fetched but from the SNS host of the topic's own region.

Source: Amazon SNS Developer Guide, "Verifying the signatures of Amazon SNS messages", "HTTP/HTTPS headers".
"""

import asyncio
import base64
import binascii
import re
import time
from collections import OrderedDict
from collections.abc import Callable, Collection, Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

import urllib3
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA1, SHA256, HashAlgorithm

from mediaplane.errors import CredentialsInvalid, IdentityUnavailable
from mediaplane.logs import Logger

TIMEOUT_SECONDS = 4.0
MAX_BYTES = 64 * 1024
MOST_CERTIFICATES = 16
PAUSE_SECONDS = 10.0  # after a certificate that could not be fetched, before another is tried
_TOPIC = re.compile(r"arn:aws(-cn|-us-gov)?:sns:([a-z0-9-]{4,30}):[0-9]{12}:[A-Za-z0-9_.-]{1,256}")
_CERTIFICATE = re.compile(r"/SimpleNotificationService-[0-9a-f]{8,64}\.pem")
_OF_NOTIFICATION = ("Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type")
_OF_CONFIRMATION = ("Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type")
_HASHES: Mapping[str, type[HashAlgorithm]] = {"1": SHA1, "2": SHA256}

log = Logger(__name__)


def fetch(url: str) -> bytes:
    """Return what is at a URL of SNS; no redirect is followed.

    Raises:
        OSError: it does not answer, or not with 200 and little.
    """
    try:
        answer = urllib3.request(
            "GET", url, timeout=TIMEOUT_SECONDS, retries=False, redirect=False, preload_content=False
        )
        try:
            body: bytes = answer.read(MAX_BYTES + 1, decode_content=True)
        finally:
            answer.release_conn()
    except urllib3.exceptions.HTTPError as error:
        raise OSError(str(error)) from error
    if answer.status != 200 or len(body) > MAX_BYTES:
        raise OSError(f"status {answer.status}, {len(body)} bytes")
    return body


class SnsMessages:
    """Verifies messages of these topics, and confirms subscriptions to them."""

    def __init__(
        self,
        topics: Collection[str],
        *,
        get: Callable[[str], bytes] | None = None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._topics = frozenset(topics)
        self._get = get or fetch
        self._now = now
        self._known: OrderedDict[str, x509.Certificate] = OrderedDict()  # by URL, the oldest first
        self._failed_at = float("-inf")
        self._fetching = asyncio.Lock()

    async def verify(self, message: Mapping[str, Any]) -> None:
        """Return if SNS signed the message for one of our topics.

        Raises:
            CredentialsInvalid: it did not.
            IdentityUnavailable: the certificate cannot be fetched just now.
        """
        topic = message.get("TopicArn")
        if not isinstance(topic, str) or topic not in self._topics:
            raise CredentialsInvalid("the message is of no SNS topic that is known here")
        url = _on_host_of(topic, message.get("SigningCertURL"))
        algorithm = _HASHES.get(str(message.get("SignatureVersion")))
        if algorithm is None or not _CERTIFICATE.fullmatch(url.partition(".amazonaws.com")[2].removeprefix(".cn")):
            raise CredentialsInvalid("the message names no certificate of SNS, or no signature that is known here")
        signature = _decoded(message.get("Signature"))
        certificate = await self._certificate(url)
        key, at = certificate.public_key(), datetime.now(UTC)
        in_time = certificate.not_valid_before_utc <= at <= certificate.not_valid_after_utc
        if not isinstance(key, RSAPublicKey) or not in_time:
            raise CredentialsInvalid("the certificate of the message has ended, or is none of SNS")
        try:
            key.verify(signature, signed_text(message), PKCS1v15(), algorithm())
        except InvalidSignature:
            raise CredentialsInvalid("the message is not what SNS signed") from None

    async def confirm(self, message: Mapping[str, Any]) -> None:
        """Confirm the subscription that a message asks about; it was verified, or came with our secret.

        Raises:
            CredentialsInvalid: the URL to confirm with is not of SNS.
            IdentityUnavailable: SNS does not answer.
        """
        topic = message.get("TopicArn")
        url = _on_host_of(topic if isinstance(topic, str) else "", message.get("SubscribeURL"))
        try:
            await asyncio.to_thread(self._get, url)
        except (OSError, ValueError) as error:
            log.warning("sns_not_confirmed", topic=topic, problem=str(error))
            raise IdentityUnavailable("the subscription could not be confirmed: SNS does not answer") from error
        log.info("sns_confirmed", topic=topic)

    async def _certificate(self, url: str) -> x509.Certificate:
        async with self._fetching:
            if (known := self._known.get(url)) is not None:
                return known
            if self._now() - self._failed_at < PAUSE_SECONDS:  # whatever URLs are named: somebody may make them up
                raise IdentityUnavailable("the certificate of SNS could not be fetched a moment ago")
            try:
                found = x509.load_pem_x509_certificate(await asyncio.to_thread(self._get, url))
            except (OSError, ValueError) as error:
                log.warning("sns_certificate_not_fetched", url=url, problem=str(error))
                self._failed_at = self._now()
                raise IdentityUnavailable("the certificate of SNS cannot be fetched just now") from error
            self._known[url] = found
            if len(self._known) > MOST_CERTIFICATES:
                self._known.popitem(last=False)
            return found


def signed_text(message: Mapping[str, Any]) -> bytes:
    """Return what SNS signs of a message: names and values, a line each.

    Raises:
        CredentialsInvalid: a part is missing.
    """
    names = _OF_NOTIFICATION if message.get("Type") == "Notification" else _OF_CONFIRMATION
    lines = []
    for name in names:
        value = message.get(name)
        if name == "Subject" and value is None:
            continue
        if not isinstance(value, str):
            raise CredentialsInvalid(f"the message has no {name}")
        lines.append(f"{name}\n{value}\n")
    return "".join(lines).encode("utf-8", "replace")


def _on_host_of(topic: str, url: Any) -> str:
    """Return the URL if it is one of SNS in the topic's region.

    Raises:
        CredentialsInvalid: it is not.
    """
    named = _TOPIC.fullmatch(topic)
    if named and isinstance(url, str) and url.isascii() and url.isprintable():
        domain = "amazonaws.com.cn" if named[1] == "-cn" else "amazonaws.com"
        try:
            parts = urlsplit(url)
        except ValueError:
            parts = urlsplit("")
        if (parts.scheme, parts.netloc) == ("https", f"sns.{named[2]}.{domain}"):  # so no port and no user either
            return url
    raise CredentialsInvalid("the message names a URL that is not of SNS in its topic's region")


def _decoded(signature: Any) -> bytes:
    try:
        return base64.b64decode(str(signature), validate=True)
    except (binascii.Error, ValueError):
        raise CredentialsInvalid("the message has no signature") from None
