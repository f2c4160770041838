"""Tasks, submissions and their review."""

from mediaplane.errors.base import MediaplaneError


class TaskError(MediaplaneError):
    """A task that takes no upload of this kind."""

    code = "task_error"


class TaskClosed(TaskError):
    """The task was closed, or its deadline has passed."""

    code = "task_closed"


class TaskFull(TaskError):
    """The task has all the submissions that it takes, or all that one contributor may send in."""

    code = "task_full"


class SubmissionError(MediaplaneError):
    """A submission that cannot go on as it was asked to."""

    code = "submission_error"


class SubmissionClosed(SubmissionError):
    """The submission takes no other upload in its state."""

    code = "submission_closed"


class SubmissionDuplicate(SubmissionError):
    """The same bytes were sent in for the task before."""

    code = "submission_duplicate"


class ReviewNotHeld(MediaplaneError):
    """The validator does not hold the submission, or not any more: take it (again) first."""

    code = "review_not_held"
