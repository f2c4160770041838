"""The root of the tree."""


class MediaplaneError(Exception):
    """Base of all; `retryable` is set where the error is born, only `jobs` acts on it."""

    code = "error"
    retryable = False

    def __init__(self, message: str, *, retryable: bool | None = None) -> None:
        super().__init__(message)
        self.message = message
        if retryable is not None:
            self.retryable = retryable
