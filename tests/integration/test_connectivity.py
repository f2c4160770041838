"""One look at a store before work begins says in a sentence what is wrong, and names the setting."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest

from mediaplane.errors import AccessDenied
from mediaplane.settings import load_settings
from mediaplane.storage.connectivity import CHECK_KEY, check_permissions, check_store, find_unusable
from mediaplane.storage.endpoint import S3Endpoint
from tests.services.rgw import free_port


@pytest.fixture
def endpoint(s3_server, fresh_bucket) -> S3Endpoint:
    return S3Endpoint(s3_server.http_endpoint, fresh_bucket(s3_server), s3_server.access_key, s3_server.secret_key)


def keys_in(server, bucket) -> list[str]:
    return [entry["Key"] for entry in server.client().list_objects_v2(Bucket=bucket).get("Contents", [])]


def test_store_that_works(endpoint, s3_server):
    """Nothing is wrong, and nothing is left behind."""
    assert check_store(endpoint) is None
    assert check_permissions(endpoint) is None
    assert keys_in(s3_server, endpoint.bucket) == []


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"access_key_id": "nobody"}, "S3_ACCESS_KEY_ID"),
        ({"secret_access_key": "wrong"}, "S3_SECRET_ACCESS_KEY"),
        ({"bucket": "no-such-bucket"}, "S3_BUCKET"),
        ({"url": "http://no-such-host.invalid"}, "its host name is unknown; check S3_ENDPOINT"),
        ({"url": f"http://127.0.0.1:{free_port()}"}, "connection refused"),
    ],
)
def test_what_is_wrong_is_named(endpoint, change, says):
    """Name not found, nothing there, wrong key, wrong secret, missing bucket."""
    for check in (check_store, check_permissions):
        problem = check(replace(endpoint, **change))
        assert problem and says in problem.message


def test_tls_that_is_not_trusted_or_not_there(s3_server, endpoint):
    """The authority's file is named, or the scheme."""
    problem = check_store(replace(endpoint, url=s3_server.https_endpoint))
    assert problem and "S3_CA_FILE" in problem.message
    assert check_store(replace(endpoint, url=s3_server.https_endpoint, ca_file=str(s3_server.ca_file))) is None
    problem = check_store(replace(endpoint, url=s3_server.http_endpoint.replace("http:", "https:")))
    assert problem and "http:// in S3_ENDPOINT" in problem.message


def test_keys_that_may_do_nothing(rgw, fresh_bucket):
    """A user of the server without any permission in the bucket is told which one is missing."""
    stranger = S3Endpoint(rgw.http_endpoint, fresh_bucket(rgw), rgw.guest_access_key, rgw.guest_secret_key)
    assert check_store(stranger) is None, "the server knows the keys: more cannot be seen by reading"
    problem = check_permissions(stranger)
    assert isinstance(problem, AccessDenied)
    assert "s3:PutObject" in problem.message


@pytest.mark.parametrize("missing", [None, "s3:PutObject", "s3:DeleteObject"])
def test_keys_that_may_put_get_and_delete_only(rgw, fresh_bucket, missing):
    """Without s3:ListBucket all is well; of the others the one that is missing is named.

    Not s3:GetObject: RGW 16 tells whoever lacks it that nothing is stored there. `doctor` reads what it has written.
    """
    bucket = fresh_bucket(rgw)
    actions = [name for name in ("s3:PutObject", "s3:GetObject", "s3:DeleteObject") if name != missing]
    statement = {
        "Effect": "Allow",
        "Principal": {"AWS": ["arn:aws:iam:::user/guest"]},
        "Action": actions,
        "Resource": [f"arn:aws:s3:::{bucket}/temp/*"],
    }
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    rgw.client().put_bucket_policy(Bucket=bucket, Policy=policy)
    guest = S3Endpoint(rgw.http_endpoint, bucket, rgw.guest_access_key, rgw.guest_secret_key)
    problem = check_permissions(guest, f"temp/{CHECK_KEY}")
    if missing is None:
        assert problem is None
        assert keys_in(rgw, bucket) == []
    else:
        assert problem and missing in problem.message


@contextmanager
def answering(status: int, code: str = "", *, ahead: timedelta = timedelta(0), **headers: str) -> Iterator[S3Endpoint]:
    """An HTTP server on loopback that answers everything so, with its own idea of the time."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = f"<Error><Code>{code}</Code></Error>".encode() if code else b"<html>hello</html>"
            self.send_response_only(status)
            self.send_header("Date", format_datetime(datetime.now(UTC) + ahead, usegmt=True))
            self.send_header("Content-Length", str(len(body)))
            for name, value in headers.items():
                self.send_header(name.replace("_", "-"), value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield S3Endpoint(f"http://127.0.0.1:{server.server_port}", "bucket", "AKID", "secret")
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize("code", ["RequestTimeTooSkewed", "AccessDenied", "SignatureDoesNotMatch"])
@pytest.mark.parametrize(("minutes", "says"), [(20, "20 minutes behind"), (-90, "90 minutes ahead of")])
def test_clock_that_is_wrong(minutes, says, code):
    """However the server words its refusal, the clocks are compared, and the distance is told."""
    with answering(403, code, ahead=timedelta(minutes=minutes)) as endpoint:
        problem = check_store(endpoint)
    assert problem and says in problem.message and "NTP" in problem.message


def test_clock_that_is_a_little_off_is_no_matter():
    """Servers bear fifteen minutes."""
    with answering(404, "NoSuchKey", ahead=timedelta(minutes=5)) as endpoint:
        assert check_store(endpoint) is None
    with answering(404, "NoSuchKey", ahead=timedelta(minutes=16)) as endpoint:
        assert "16 minutes" in check_store(endpoint).message


def test_bucket_in_another_region():
    """The region is told where the server tells it."""
    with answering(301, "PermanentRedirect", x_amz_bucket_region="eu-west-1") as endpoint:
        assert "it is in eu-west-1: set S3_REGION" in check_store(endpoint).message
    with answering(400, "AuthorizationQueryParametersError") as endpoint:
        assert "check S3_REGION" in check_store(endpoint).message


@pytest.mark.parametrize("status", [200, 404])
def test_what_is_no_s3_server(status):
    """A web server that answers everything is not taken for a store."""
    with answering(status) as endpoint:
        assert "no S3 server" in check_store(endpoint).message


def test_sentence_names_the_variable_that_was_set(seaweed, fresh_bucket):
    """Not S3_ACCESS_KEY_ID but the variable in which the wrong key stands."""
    environ = {"S3_ENDPOINT": seaweed.http_endpoint, "R2_BUCKET_NAME": fresh_bucket(seaweed)}
    wrong = {"R2_ACCESS_KEY_ID": "nobody", "R2_SECRET_ACCESS_KEY": "wrong"}
    told = find_unusable(load_settings({**environ, **wrong}))["s3"].message
    assert "check R2_ACCESS_KEY_ID" in told
    right = {"AWS_ACCESS_KEY_ID": seaweed.access_key, "AWS_SECRET_ACCESS_KEY": seaweed.secret_key}
    assert find_unusable(load_settings({**environ, **right}), thorough=True) == {}
    told = find_unusable(load_settings({**environ, **right, "R2_BUCKET_NAME": "none-such"}))["s3"].message
    assert "check R2_BUCKET_NAME" in told


def test_sentence_names_the_variables_of_a_store(seaweed, fresh_bucket, tmp_path):
    """Each store of a profile is looked at, and its own variable or line of the profile is named."""
    profile = tmp_path / "two.toml"
    profile.write_text(
        '[stores.in]\nbucket_variable = "S3_BUCKET_IN"\n[stores.out]\nbucket = "none-such"\n'
        '[placement]\ndefault = "out"\noriginal = "in"\n'
    )
    environ = {
        "MEDIAPLANE_PROFILE": str(profile),
        "S3_ENDPOINT_URL": seaweed.http_endpoint,
        "AWS_ACCESS_KEY_ID": seaweed.access_key,
        "AWS_SECRET_ACCESS_KEY": seaweed.secret_key,
    }
    wrong = find_unusable(load_settings({**environ, "S3_BUCKET_IN": fresh_bucket(seaweed)}))
    assert list(wrong) == ["out"]
    assert f"bucket in profile {profile} [stores.out]" in wrong["out"].message
    wrong = find_unusable(load_settings({**environ, "S3_BUCKET_IN": "also-none"}))
    assert "check S3_BUCKET_IN" in wrong["in"].message
