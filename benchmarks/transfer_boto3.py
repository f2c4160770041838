"""boto3 in `make bench-transfer`: a loop as its users write it, in a pool of threads.

`python -m benchmarks.transfer_boto3 WORK FROM TO`, the endpoint from the environment.
"""

import os
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config

AT_ONCE = 10  # as its own transfers have
BATCH_KEYS = 1000


def main() -> None:
    """Do the work; an error ends it."""
    work, source, target = sys.argv[1:4]
    bucket = os.environ["S3_BUCKET"]
    client = boto3.client(
        "s3",
        endpoint_url=os.environ["S3_ENDPOINT"],
        config=Config(s3={"addressing_style": "path"}, max_pool_connections=AT_ONCE, proxies={}),
    )
    with ThreadPoolExecutor(AT_ONCE) as threads:
        match work:
            case "up":
                names = [path.name for path in Path(source).iterdir()]
                done = threads.map(lambda name: client.upload_file(source + name, bucket, target + name), names)
            case "down":
                keys = list(_keys(client, bucket, source))
                done = threads.map(lambda key: client.download_file(bucket, key, target + Path(key).name), keys)
            case "copy":
                keys = list(_keys(client, bucket, source))
                done = threads.map(
                    lambda key: client.copy_object(
                        Bucket=bucket, Key=target + Path(key).name, CopySource={"Bucket": bucket, "Key": key}
                    ),
                    keys,
                )
            case "list":
                done = (print(key) for key in _keys(client, bucket, source))
            case _:
                keys = list(_keys(client, bucket, source))
                batches = [keys[start : start + BATCH_KEYS] for start in range(0, len(keys), BATCH_KEYS)]
                done = threads.map(
                    lambda batch: client.delete_objects(
                        Bucket=bucket, Delete={"Objects": [{"Key": key} for key in batch], "Quiet": True}
                    ),
                    batches,
                )
        for _ in done:
            pass


def _keys(client: Any, bucket: str, prefix: str) -> Iterator[str]:
    for page in client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
        yield from (entry["Key"] for entry in page.get("Contents", []))


if __name__ == "__main__":
    main()
