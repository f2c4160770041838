"""The one place where what obstore, boto3 and urllib3 raise becomes ours; no other code reads their errors.

Sentences name the setting to look at. Our own bugs pass through untouched.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager

from botocore import exceptions as botocore_errors
from obstore import exceptions as obstore_errors
from urllib3 import exceptions as urllib3_errors

from mediaplane.errors import AccessDenied, InvalidKey, InvalidRange, MediaplaneError, ObjectNotFound, StorageError

_REFUSED = {
    "AccessDenied": "the keys lack the permission; the S3_ACCESS_KEY_ID's user needs to read, write, delete and list",
    "InvalidAccessKeyId": "it does not know the access key: check S3_ACCESS_KEY_ID",
    "SignatureDoesNotMatch": "the signature is wrong: check S3_SECRET_ACCESS_KEY and S3_REGION",
    "AuthorizationHeaderMalformed": "the signature names another region: check S3_REGION",
    "ExpiredToken": "the temporary keys have ended: set new keys and S3_SESSION_TOKEN",
    "InvalidToken": "the session token is wrong: check S3_SESSION_TOKEN",
}
_NAMED = {
    "RequestTimeTooSkewed": "the clock of this machine is more than 15 minutes off the S3 server's: set the clock",
    "NoSuchBucket": "the bucket does not exist: check S3_BUCKET",
}
_PASSING = {"SlowDown", "InternalError", "ServiceUnavailable", "RequestTimeout", "NoSuchUpload", "OperationAborted"}
_WHERE_IT_FAILED = (  # what stands in the text of a failed connection -> sentence, whether it may pass
    (("dns error", "Name or service not known", "NameResolutionError", "resolve"), "its host name is unknown", True),
    (("Connection refused",), "nothing listens there (connection refused)", True),
    (
        ("InvalidCertificate", "CERTIFICATE_VERIFY_FAILED", "certificate verify failed"),
        "its certificate is not trusted: set S3_CA_FILE to the PEM file of the authority that signed it",
        False,
    ),
    (("InvalidContentType", "WRONG_VERSION_NUMBER"), "it does not speak HTTPS: use http:// in S3_ENDPOINT", False),
    (("timed out", "TimedOut", "Timeout"), "it did not answer in time", True),
)


def answered(what: str, status: int, code: str) -> MediaplaneError:
    """Return our error for an answer of S3; `what` is the key or bucket, `code` may be empty (HEAD has none)."""
    if code in _NAMED:
        return StorageError(f"{what}: {_NAMED[code]}", retryable=False)
    if status in (401, 403) or code in _REFUSED:
        return AccessDenied(what, _REFUSED.get(code, "check the keys and their permissions"))
    if status == 404 and code not in _PASSING:
        return ObjectNotFound(what)
    if status == 416:
        return InvalidRange(f"{what} ends before the range that was asked for")
    passing = status >= 500 or status in (408, 409, 429) or code in _PASSING
    return StorageError(f"{what}: the store answered {status} {code}".rstrip(), retryable=passing)


def unreachable(endpoint: str, text: str) -> StorageError:
    """Return our error for a connection to `endpoint` that failed; `text` is what the client said about it."""
    for signs, sentence, passing in _WHERE_IT_FAILED:
        if any(sign in text for sign in signs):
            return StorageError(f"the S3 endpoint {endpoint}: {sentence}; check S3_ENDPOINT", retryable=passing)
    first_line = text.strip().split("\n", 1)[0]
    return StorageError(f"the S3 endpoint {endpoint} cannot be used ({first_line}); check S3_ENDPOINT", retryable=True)


@contextmanager
def translated(what: str, endpoint: str) -> Iterator[None]:
    """Raise our error for one of theirs; `what` is the key or bucket that was asked for."""
    try:
        yield
    except (FileNotFoundError, obstore_errors.BaseError) as error:
        raise of_obstore(what, endpoint, error) from error
    except (botocore_errors.ClientError, botocore_errors.BotoCoreError) as error:
        raise of_boto3(what, endpoint, error) from error
    except urllib3_errors.HTTPError as error:
        raise unreachable(endpoint, f"{error}") from error


def of_obstore(what: str, endpoint: str, error: Exception) -> MediaplaneError:
    """Return our error for one of obstore's: most are told apart by the answer that stands in their text."""
    text = str(error)
    status, code = _answer_in(text)
    if status or code:
        return answered(what, status, code)
    if isinstance(error, FileNotFoundError | obstore_errors.NotFoundError):
        return ObjectNotFound(what)
    if isinstance(error, obstore_errors.PermissionDeniedError | obstore_errors.UnauthenticatedError):
        return AccessDenied(what)
    if isinstance(error, obstore_errors.InvalidPathError):
        return InvalidKey(f"{what!r} is no key that the store accepts")
    if "HTTP error" in text or "error sending request" in text:
        return unreachable(endpoint, text)
    # GenericError without an answer, JoinError: a broken stream or task, which may pass. The rest is asked wrongly.
    passing = isinstance(error, obstore_errors.GenericError | obstore_errors.JoinError)
    return StorageError(f"{what}: {_first_paragraph(text)}", retryable=passing)


def of_boto3(what: str, endpoint: str, error: Exception) -> MediaplaneError:
    """Return our error for one of boto3's."""
    if isinstance(error, botocore_errors.ClientError):
        status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
        code = str(error.response.get("Error", {}).get("Code", ""))
        return answered(what, status, "" if code.isdigit() else code)  # for HEAD it puts the status in place of a code
    if isinstance(error, botocore_errors.HTTPClientError | botocore_errors.ConnectionError):
        cause = getattr(error, "kwargs", {}).get("error", "")  # which its text leaves out
        return unreachable(endpoint, f"{error} {type(error).__name__} {cause}")
    return StorageError(f"{what}: {error}", retryable=False)


def _answer_in(text: str) -> tuple[int, str]:
    status = re.search(r"status code: (\d{3})|\bstatus: (\d{3}),", text)
    code = re.search(r"<Code>(\w+)</Code>|\(code: (\w+)\)", text)
    return int(next(filter(None, status.groups()))) if status else 0, next(filter(None, code.groups())) if code else ""


def _first_paragraph(text: str) -> str:
    return text.split("\n\nDebug source", 1)[0].strip()
