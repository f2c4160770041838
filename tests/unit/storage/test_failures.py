"""Every error of the engines becomes one of ours, with a sentence."""

import inspect

import pytest
import urllib3.exceptions
from botocore import exceptions as botocore_errors
from obstore import exceptions as obstore_errors

from mediaplane.errors import AccessDenied, InvalidKey, InvalidRange, MediaplaneError, ObjectNotFound, StorageError
from mediaplane.storage.failures import answered, translated

OBSTORE = [member for _, member in inspect.getmembers(obstore_errors, inspect.isclass)]
EXPECTED = {
    "NotFoundError": ObjectNotFound,
    "PermissionDeniedError": AccessDenied,
    "UnauthenticatedError": AccessDenied,
    "InvalidPathError": InvalidKey,
}
MAY_PASS = {"GenericError", "JoinError"}


def raised(error: Exception) -> MediaplaneError:
    """What comes out when `error` is raised by an engine."""
    with pytest.raises(MediaplaneError) as told, translated("a/key", "https://host"):
        raise error
    assert told.value.__cause__ is error
    return told.value


def test_there_are_errors_to_translate():
    """The walk over the engine's errors finds them."""
    assert len(OBSTORE) >= 12
    assert all(issubclass(member, obstore_errors.BaseError) for member in OBSTORE)


@pytest.mark.parametrize("foreign", OBSTORE, ids=lambda member: member.__name__)
def test_every_error_of_obstore_is_translated(foreign):
    """No class of obstore.exceptions passes through, each to the error that means the same."""
    error = raised(foreign("what it said\n\nDebug source:\nsecrets of the engine"))
    assert type(error) is EXPECTED.get(foreign.__name__, StorageError)
    assert "a/key" in error.message
    assert "Debug" not in error.message
    if type(error) is StorageError:
        assert error.retryable == (foreign.__name__ in MAY_PASS)


def test_file_not_found_of_obstore():
    """obstore raises the built-in error for a missing key."""
    assert type(raised(FileNotFoundError("Object at location a not found"))) is ObjectNotFound


@pytest.mark.parametrize("bug", [TypeError("bug"), KeyError("bug"), ValueError("bug"), RuntimeError("bug")])
def test_our_own_bugs_pass_through(bug):
    """What is no engine's error is not renamed."""
    with pytest.raises(type(bug)), translated("a/key", "https://host"):
        raise bug


@pytest.mark.parametrize(
    ("status", "code", "kind", "retryable", "says"),
    [
        (403, "InvalidAccessKeyId", AccessDenied, False, "S3_ACCESS_KEY_ID"),
        (403, "SignatureDoesNotMatch", AccessDenied, False, "S3_SECRET_ACCESS_KEY"),
        (400, "AuthorizationHeaderMalformed", AccessDenied, False, "S3_REGION"),
        (400, "ExpiredToken", AccessDenied, False, "S3_SESSION_TOKEN"),
        (403, "AccessDenied", AccessDenied, False, "permission"),
        (403, "", AccessDenied, False, "check the keys"),
        (401, "", AccessDenied, False, "check the keys"),
        (403, "RequestTimeTooSkewed", StorageError, False, "clock"),
        (404, "NoSuchKey", ObjectNotFound, False, "nothing is stored"),
        (404, "", ObjectNotFound, False, "nothing is stored"),
        (404, "NoSuchBucket", StorageError, False, "S3_BUCKET"),
        (404, "NoSuchUpload", StorageError, True, "NoSuchUpload"),
        (416, "InvalidRange", InvalidRange, False, "ends before"),
        (400, "RequestTimeout", StorageError, True, "RequestTimeout"),
        (400, "MalformedXML", StorageError, False, "MalformedXML"),
        (409, "OperationAborted", StorageError, True, "OperationAborted"),
        (411, "MissingContentLength", StorageError, False, "411"),
        (429, "", StorageError, True, "429"),
        (500, "InternalError", StorageError, True, "500"),
        (503, "SlowDown", StorageError, True, "503"),
    ],
)
def test_answers_of_s3(status, code, kind, retryable, says):
    """Status and code decide the error, whether to try again, and which setting is named, whoever asked."""
    xml = f"Generic S3 error: status code: {status} X: <Error><Code>{code}</Code></Error>" if code else ""
    plain = xml or f"Generic S3 error: Server returned non-2xx status code: {status} Something: "
    boto = {"Error": {"Code": code or str(status)}, "ResponseMetadata": {"HTTPStatusCode": status}}
    for error in (
        answered("a/key", status, code),
        raised(obstore_errors.GenericError(plain)),
        raised(botocore_errors.ClientError(boto, "PutObject")),
    ):
        assert (type(error), error.retryable) == (kind, retryable)
        assert says in error.message


@pytest.mark.parametrize(
    ("error", "says", "retryable"),
    [
        (botocore_errors.EndpointConnectionError(endpoint_url="u", error="Connection refused"), "refused", True),
        (botocore_errors.EndpointConnectionError(endpoint_url="u", error="Failed to resolve 'u'"), "host name", True),
        (botocore_errors.ConnectTimeoutError(endpoint_url="u", error="timed out"), "in time", True),
        (botocore_errors.ReadTimeoutError(endpoint_url="u", error="Read timed out."), "in time", True),
        (botocore_errors.SSLError(endpoint_url="u", error="CERTIFICATE_VERIFY_FAILED"), "S3_CA_FILE", False),
        (urllib3.exceptions.ProtocolError("Connection aborted."), "Connection aborted", True),
        (urllib3.exceptions.SSLError("[SSL: WRONG_VERSION_NUMBER]"), "http://", False),
        (obstore_errors.GenericError('x - HTTP error: error sending request\n\nDebug: "dns error"'), "host name", True),
        (obstore_errors.GenericError("HTTP error: error decoding response body"), "cannot be used", True),
    ],
)  # fmt: skip
def test_endpoint_that_cannot_be_reached(error, says, retryable):
    """The sentence names the endpoint, what is wrong with it, and the setting."""
    told = raised(error)
    assert type(told) is StorageError
    assert told.retryable == retryable
    assert says in told.message
    assert "https://host" in told.message
    assert "S3_ENDPOINT" in told.message


def test_every_error_of_boto3_is_translated():
    """No class of botocore.exceptions passes through."""
    for _, member in inspect.getmembers(botocore_errors, inspect.isclass):
        if issubclass(member, botocore_errors.BotoCoreError):
            error = member.__new__(member)
            Exception.__init__(error, "what it said")
            assert isinstance(raised(error), StorageError)
