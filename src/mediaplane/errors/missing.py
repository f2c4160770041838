"""What is not there, or is not for who asks."""

from mediaplane.errors.base import MediaplaneError


class NotFound(MediaplaneError):
    """Base of what is not there."""

    code = "not_found"


class AssetNotFound(NotFound):
    """No asset with the id, for this owner."""

    code = "asset_not_found"

    def __init__(self, asset_id: str) -> None:
        super().__init__(f"there is no asset {asset_id}")


class ObjectNotFound(NotFound):
    """Nothing is stored at the key, or its bucket is missing."""

    code = "object_not_found"

    def __init__(self, key: str) -> None:
        super().__init__(f"nothing is stored at {key}")
        self.key = key


class ClipNotFound(NotFound):
    """No clip with the id."""

    code = "clip_not_found"

    def __init__(self, clip_id: str) -> None:
        super().__init__(f"there is no clip {clip_id}")


class HighlightsNotFound(NotFound):
    """An asset without highlights.json."""

    code = "highlights_not_found"

    def __init__(self, asset_id: str) -> None:
        super().__init__(f"there are no highlights of {asset_id}")


class PurgeNotFound(NotFound):
    """No purge with the id."""

    code = "purge_not_found"

    def __init__(self, purge_id: str) -> None:
        super().__init__(f"there is no purge {purge_id}")


class WebhookNotFound(NotFound):
    """No webhook endpoint with the id, or no delivery of it."""

    code = "webhook_not_found"

    def __init__(self, endpoint_id: str) -> None:
        super().__init__(f"there is no webhook {endpoint_id}: `mediaplane webhook ls` lists them")


class KeyNotFound(NotFound):
    """No API key with the id."""

    code = "key_not_found"

    def __init__(self, key_id: str) -> None:
        super().__init__(f"there is no API key {key_id}: `mediaplane key ls` lists them")


class PlanNotFound(NotFound):
    """No plan of the name in the profile."""

    code = "plan_not_found"

    def __init__(self, plan: str, known: tuple[str, ...]) -> None:
        there = f"there are {', '.join(known)}" if known else "it declares none, so everything is unlimited"
        super().__init__(f"the profile has no plan {plan}: {there}")


class UploadNotFound(NotFound):
    """No upload with the id, for this owner."""

    code = "upload_not_found"

    def __init__(self, upload_id: str) -> None:
        super().__init__(f"there is no upload {upload_id}")


class TaskNotFound(NotFound):
    """No task with the id, in this team."""

    code = "task_not_found"

    def __init__(self, task_id: str) -> None:
        super().__init__(f"there is no task {task_id}")


class SubmissionNotFound(NotFound):
    """No submission with the id, that one may see."""

    code = "submission_not_found"

    def __init__(self, submission_id: str) -> None:
        super().__init__(f"there is no submission {submission_id}")


class ReviewLinkNotFound(NotFound):
    """No review link with the id, of this submission."""

    code = "review_link_not_found"

    def __init__(self, link_id: str) -> None:
        super().__init__(f"there is no review link {link_id}")
