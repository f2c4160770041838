"""Bytes in and out of one bucket.

The names below are for scripts of one's own (see docs/mpr.md) and come from `storage/files.py` when first used:
importing this package loads no boto3. BUCKET_IN and BUCKET_OUT are read from the settings each time.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mediaplane.storage.files import (
        download_file,
        download_to_temp,
        get_presigned_url,
        get_s3_client,
        list_objects,
        upload_file,
    )

    BUCKET_IN: str
    BUCKET_OUT: str

__all__ = [
    "BUCKET_IN",
    "BUCKET_OUT",
    "download_file",
    "download_to_temp",
    "get_presigned_url",
    "get_s3_client",
    "list_objects",
    "upload_file",
]


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from mediaplane.storage import files

    match name:
        case "BUCKET_IN":
            return files.bucket_in()
        case "BUCKET_OUT":
            return files.bucket_out()
        case _:
            return getattr(files, name)
