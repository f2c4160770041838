"""The one place where what obstore, boto3 and urllib3 raise becomes ours; no other code reads their errors.

Sentences name the setting to look at. Our own bugs pass through untouched. botocore and urllib3, which most commands
do without, are loaded only when something has failed.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager

from obstore import exceptions as obstore_errors

from mediaplane.errors import AccessDenied, InvalidKey, MediaplaneError, ObjectNotFound, StorageError
from mediaplane.storage.answers import answered, unreachable

__all__ = ["answered", "of_boto3", "of_obstore", "translated", "unreachable"]


@contextmanager
def translated(what: str, endpoint: str) -> Iterator[None]:
    """Raise our error for one of theirs; `what` is the key or bucket that was asked for."""
    try:
        yield
    except (FileNotFoundError, obstore_errors.BaseError) as error:
        raise of_obstore(what, endpoint, error) from error
    except Exception as error:
        if ours := _of_python(what, endpoint, error):
            raise ours from error
        raise


def _of_python(what: str, endpoint: str, error: Exception) -> MediaplaneError | None:
    """Return our error for one of botocore's or urllib3's, None for any other."""
    from botocore import exceptions as botocore_errors
    from urllib3 import exceptions as urllib3_errors

    if isinstance(error, botocore_errors.ClientError | botocore_errors.BotoCoreError):
        return of_boto3(what, endpoint, error)
    return unreachable(endpoint, f"{error}") if isinstance(error, urllib3_errors.HTTPError) else None


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
    from botocore import exceptions as botocore_errors

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
