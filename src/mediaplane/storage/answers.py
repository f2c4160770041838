"""What an S3 server's refusals and a failed connection are called by us; sentences name the setting to look at.

Knows no client: `failures.py` reads obstore's and boto3's errors, `wire.py` asks here by itself.
"""

from mediaplane.errors import AccessDenied, InvalidRange, MediaplaneError, ObjectNotFound, StorageError

_REFUSED = {
    "AccessDenied": (
        "the keys lack the permission (`mediaplane bucket policy` prints what is needed), or nothing is stored there: "
        "without s3:ListBucket a missing key is answered so"
    ),
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
        problem = _REFUSED.get(code, "check the keys and their permissions")
        return AccessDenied(what, problem, keys_known=code == "AccessDenied")
    if status == 404 and code not in _PASSING:
        return ObjectNotFound(what)
    if status == 412:
        return StorageError(f"{what} was changed in the store meanwhile: try again", retryable=False)
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
