"""Messages of SNS: only what SNS signed for a topic of ours counts, and nothing else is ever fetched."""

import base64
import datetime

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.x509.oid import NameOID

from mediaplane.access.sns import PAUSE_SECONDS, SnsMessages, signed_text
from mediaplane.errors import CredentialsInvalid, IdentityUnavailable

TOPIC = "arn:aws:sns:eu-west-1:123456789012:media"
HOST = "https://sns.eu-west-1.amazonaws.com"
CERTIFICATE_URL = f"{HOST}/SimpleNotificationService-9c6465fa7f48f5cacd23014631ec1136.pem"
KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)


def certificate(key=KEY, *, days: int = 1) -> bytes:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "sns.amazonaws.com")])
    now = datetime.datetime.now(datetime.UTC)
    ends = now + datetime.timedelta(days=days)
    made = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
        .serial_number(x509.random_serial_number()).not_valid_before(min(now, ends) - datetime.timedelta(days=1))
        .not_valid_after(ends).sign(KEY, hashes.SHA256())
    )  # fmt: skip
    return made.public_bytes(serialization.Encoding.PEM)


def message(version: str = "2", *, sign=None, **changed: object) -> dict:
    """A notification as SNS writes it; `changed` before it is signed, or after where `sign` says so."""
    document = {
        "Type": "Notification",
        "MessageId": "22b80b92-fdea-4c2c-8f9d-bdfb0c7bf324",
        "TopicArn": TOPIC,
        "Subject": "Amazon S3 Notification",
        "Message": '{"Records":[]}',
        "Timestamp": "2026-11-20T12:00:00.000Z",
        "SignatureVersion": version,
        "SigningCertURL": CERTIFICATE_URL,
        "UnsubscribeURL": f"{HOST}/?Action=Unsubscribe",
        **changed,
    }
    document = {name: value for name, value in document.items() if value is not None}
    algorithm = {"1": hashes.SHA1, "2": hashes.SHA256}.get(version, hashes.SHA256)()
    signature = KEY.sign(sign or signed_text(document), PKCS1v15(), algorithm)
    return {**document, "Signature": base64.b64encode(signature).decode()}


def confirmation(**changed: object) -> dict:
    asked = {"Type": "SubscriptionConfirmation", "Token": "2336412f37", "Subject": None}
    return message(**{**asked, "SubscribeURL": f"{HOST}/?Action=ConfirmSubscription&Token=2336412f37", **changed})


class Served:
    """What SNS answers, and what it was asked for."""

    def __init__(self, body: bytes | Exception) -> None:
        self.body = body
        self.asked: list[str] = []
        self.now = 0.0

    def get(self, url: str) -> bytes:
        self.asked.append(url)
        if isinstance(self.body, Exception):
            raise self.body
        return self.body

    def messages(self) -> SnsMessages:
        return SnsMessages([TOPIC], get=self.get, now=lambda: self.now)


@pytest.mark.parametrize("version", ["1", "2"])
@pytest.mark.parametrize("made", [message, confirmation], ids=["notification", "confirmation"])
async def test_what_sns_signed_counts(version, made):
    """Both versions of the signature, with and without a subject; the certificate is fetched once."""
    served = Served(certificate())
    messages = served.messages()
    await messages.verify(made(version=version))
    await messages.verify(made(version=version, Subject=None))
    assert served.asked == [CERTIFICATE_URL]


@pytest.mark.parametrize("name", ["Message", "MessageId", "Subject", "Timestamp", "Type"])
async def test_what_was_changed_does_not_count(name):
    """Every part that SNS signs is bound by the signature."""
    changed = {**message(), name: "SubscriptionConfirmation" if name == "Type" else "changed"}
    with pytest.raises(CredentialsInvalid):
        await Served(certificate()).messages().verify(changed)


@pytest.mark.parametrize(
    "forged",
    [
        message(TopicArn="arn:aws:sns:eu-west-1:999999999999:media"),
        message(TopicArn=None, sign=b"x"),
        message(SigningCertURL="https://evil.example/SimpleNotificationService-9c6465fa7f48f5ca.pem"),
        message(SigningCertURL="http://sns.eu-west-1.amazonaws.com/SimpleNotificationService-9c6465fa7f48f5ca.pem"),
        message(SigningCertURL="https://sns.eu-west-1.amazonaws.com.evil.example/SimpleNotificationService-9c6465fa.pem"),
        message(SigningCertURL="https://sns.eu-west-1.amazonaws.com@evil.example/SimpleNotificationService-9c6465fa.pem"),
        message(SigningCertURL="https://evil.example/https://sns.eu-west-1.amazonaws.com/SimpleNotificationService-9c.pem"),
        message(SigningCertURL="https://sns.us-east-1.amazonaws.com/SimpleNotificationService-9c6465fa7f48f5ca.pem"),
        message(SigningCertURL="https://sns.eu-west-1.amazonaws.com:8443/SimpleNotificationService-9c6465fa7f48f5ca.pem"),
        message(SigningCertURL="https://sns.eu-west-1.amazonaws.com/?Action=Publish&x=SimpleNotificationService-9c.pem"),
        message(SigningCertURL=f"{CERTIFICATE_URL}?x=1"),
        message(SigningCertURL=f"{CERTIFICATE_URL}#x"),
        message(SigningCertURL="https://[", sign=b"x"),
        message(SigningCertURL=None),
        message("3"),
        message("2", SignatureVersion="1"),
        {**message(), "Signature": "no base64!"},
        {**message(), "Signature": None},
        {**message(), "Message": 1},
    ],
)  # fmt: skip
async def test_forged_messages(forged):
    """Topics of others, certificates from elsewhere, broken signatures: refused, and nobody else's URL is fetched."""
    served = Served(certificate())
    with pytest.raises(CredentialsInvalid):
        await served.messages().verify(forged)
    assert set(served.asked) <= {CERTIFICATE_URL}


@pytest.mark.parametrize(
    "served", [certificate(days=-1), certificate(ec.generate_private_key(ec.SECP256R1()))], ids=["ended", "no RSA"]
)
async def test_certificates_that_prove_nothing(served):
    """A certificate that has ended, or of another kind, proves nothing."""
    with pytest.raises(CredentialsInvalid):
        await Served(served).messages().verify(message())


@pytest.mark.parametrize("answer", [OSError("away"), b"<html>"], ids=["away", "no certificate"])
async def test_sns_away(answer):
    """Without a certificate the message is to be sent again; SNS is not asked for it with every message."""
    served = Served(answer)
    messages = served.messages()
    for _ in range(3):
        with pytest.raises(IdentityUnavailable):
            await messages.verify(message())
    assert len(served.asked) == 1
    served.body, served.now = certificate(), PAUSE_SECONDS + 1
    await messages.verify(message())


async def test_subscriptions_are_confirmed_at_sns_only():
    """The URL to confirm with is visited if it is one of SNS in the topic's region, and no other."""
    served = Served(b"<ConfirmSubscriptionResponse/>")
    await served.messages().confirm(confirmation())
    assert served.asked == [confirmation()["SubscribeURL"]]
    for url in (
        "https://evil.example/",
        "http://169.254.169.254/latest/meta-data/",
        "https://sns.eu-west-1.amazonaws.com.x/",
    ):
        with pytest.raises(CredentialsInvalid):
            await served.messages().confirm(confirmation(SubscribeURL=url))
    with pytest.raises(CredentialsInvalid):
        await served.messages().confirm(confirmation(TopicArn="no topic"))
    assert len(served.asked) == 1
