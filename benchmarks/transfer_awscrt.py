"""awscrt in `make bench-transfer`: uploads and downloads with its S3 client; runs in the peers' environment.

`python transfer_awscrt.py WORK FROM TO [NAMES]`, the endpoint from the environment. It has no listing of its own: for
downloads the names come in a file.
"""

import os
import sys
from pathlib import Path
from threading import BoundedSemaphore
from urllib.parse import urlsplit

from awscrt.auth import AwsCredentialsProvider, AwsSignatureType, AwsSigningAlgorithm, AwsSigningConfig
from awscrt.http import HttpHeaders, HttpRequest
from awscrt.io import ClientBootstrap, DefaultHostResolver, EventLoopGroup
from awscrt.s3 import S3Client, S3RequestTlsMode, S3RequestType

AT_ONCE = 256


def main():
    """Do the work; an error ends it."""
    work, source, target, names = sys.argv[1:5]
    endpoint, bucket = os.environ["S3_ENDPOINT"], os.environ["S3_BUCKET"]
    group = EventLoopGroup()
    credentials = AwsCredentialsProvider.new_static(os.environ["S3_ACCESS_KEY_ID"], os.environ["S3_SECRET_ACCESS_KEY"])
    signing = AwsSigningConfig(
        algorithm=AwsSigningAlgorithm.V4,
        signature_type=AwsSignatureType.HTTP_REQUEST_HEADERS,
        credentials_provider=credentials,
        region="us-east-1",
        service="s3",
        use_double_uri_encode=False,
        should_normalize_uri_path=False,
        signed_body_value="UNSIGNED-PAYLOAD",
    )
    client = S3Client(
        bootstrap=ClientBootstrap(group, DefaultHostResolver(group)),
        region="us-east-1",
        tls_mode=S3RequestTlsMode.DISABLED,
        signing_config=signing,
        throughput_target_gbps=10,
    )
    listed = Path(names).read_text().split()
    room = BoundedSemaphore(AT_ONCE)
    problems = []

    def finish(error=None, **_):
        if error is not None:
            problems.append(error)
        room.release()

    waiting = []
    for name in listed:
        room.acquire()
        waiting.append(_begin(client, work, source, target, name, bucket, urlsplit(endpoint).netloc, finish))
        if len(waiting) > 2 * AT_ONCE:
            for future in waiting[:AT_ONCE]:
                future.result()
            del waiting[:AT_ONCE]
    for future in waiting:
        future.result()
    if problems:
        raise SystemExit(str(problems[:3]))


def _begin(client, work, source, target, name, bucket, host, finish):
    headers = HttpHeaders([("host", host)])
    if work == "up":
        path, key, kind = source + name, target + name, S3RequestType.PUT_OBJECT
        headers.add("content-length", str(Path(path).stat().st_size))
        headers.add("content-type", "application/octet-stream")
        request, files = HttpRequest("PUT", f"/{bucket}/{key}", headers), {"send_filepath": path}
    else:
        path, key, kind = target + name, source + name, S3RequestType.GET_OBJECT
        request, files = HttpRequest("GET", f"/{bucket}/{key}", headers), {"recv_filepath": path}
    return client.make_request(type=kind, request=request, on_done=finish, **files).finished_future


if __name__ == "__main__":
    main()
