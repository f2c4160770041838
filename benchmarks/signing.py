"""Signed URLs: processor time of ours against boto3's presigner, alternating, medians."""

import json
import statistics
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import boto3
from botocore.config import Config

from mediaplane.media.keys import ObjectKey
from mediaplane.storage.endpoint import S3Endpoint
from mediaplane.storage.signing import S3Signer

RUNS = 11
URLS = 1000
KEYS = [
    ObjectKey(f"videos/proxy/0f8fad5b-d9cb-469f-a165-70867728950e/1080p/c0_{number:05}.m4s") for number in range(URLS)
]


def main() -> None:
    """Print the figure."""
    endpoint = S3Endpoint("https://s3.example", "bucket", "AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG")
    ours, theirs = S3Signer(endpoint, lifetime=timedelta(hours=1)), _boto3(endpoint)
    signed = _measure(
        lambda: [ours.sign_get(key) for key in KEYS],
        lambda: [theirs.generate_presigned_url("get_object", Params={"Bucket": "bucket", "Key": key}) for key in KEYS],
    )
    _print("presign_get_us", signed, peer_name="boto3", unit="µs CPU a URL", scale=1e6 / URLS)


def presigner() -> tuple[Callable[[str], str], list[ObjectKey]]:
    """Return boto3's presigner of one key's GET, and a thousand keys."""
    client = _boto3(S3Endpoint("https://s3.example", "bucket", "AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG"))

    def sign(key: str) -> str:
        return str(client.generate_presigned_url("get_object", Params={"Bucket": "bucket", "Key": key}))

    return sign, KEYS


def _boto3(endpoint: S3Endpoint) -> Any:
    return boto3.client(
        "s3",
        endpoint_url=endpoint.url,
        aws_access_key_id=endpoint.access_key_id,
        aws_secret_access_key=endpoint.secret_access_key,
        region_name=endpoint.region,
        config=Config(signature_version="s3v4"),
    )


def _measure(ours: Callable[[], Any], peer: Callable[[], Any]) -> tuple[list[float], list[float]]:
    taken: tuple[list[float], list[float]] = ([], [])
    for _ in range(RUNS):
        for times, work in zip(taken, (ours, peer), strict=True):
            began = time.process_time()
            work()
            times.append(time.process_time() - began)
    return taken


def _print(name: str, taken: tuple[list[float], list[float]], *, peer_name: str, unit: str, scale: float) -> None:
    ours, peer = (statistics.median(times) * scale for times in taken)
    ratio = round(ours / peer, 3)
    figure = {"name": name, "value": ratio, "ours": round(ours, 2), "peer": round(peer, 2)}
    print(json.dumps({**figure, "peer_name": peer_name, "unit": unit, "runs": RUNS}, ensure_ascii=False))


if __name__ == "__main__":
    main()
