"""`bucket plan`, `apply` and `check` on the real S3 servers: what is written works, drift is seen and mended."""

import json
import threading
import time
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
import pytest
from typer.testing import CliRunner

from mediaplane.cli.app import app
from mediaplane.errors import AccessDenied, StorageError
from mediaplane.settings import load_settings
from mediaplane.storage import buckets
from mediaplane.storage.bucket.apply import apply, plan, prepare
from mediaplane.storage.bucket.rules import BucketRules
from mediaplane.storage.bucket.targets import Target, read_targets
from mediaplane.storage.signing import S3Signer
from tests.services.rgw import Rgw, free_port, missing_binaries

PROVIDERS = {"rgw": "ceph", "seaweed": "seaweedfs"}
RULES = BucketRules(
    cors_origins=("*",),
    upload_origins=("http://localhost:*", "https://*.xum-ai.app"),
    expire_days={"clip": 30, "temp/": 7},
    cold_days={"frame": 30},
    cold_class="STANDARD_IA",
    versioning=True,
)


def environ(server, bucket, profile="cortana-vision") -> dict[str, str]:
    return {
        "MEDIAPLANE_PROFILE": str(profile),
        "S3_ENDPOINT": server.http_endpoint,
        "S3_BUCKET": bucket,
        "S3_PROVIDER": PROVIDERS.get(server.name, "ceph"),
        "S3_ACCESS_KEY_ID": server.access_key,
        "S3_SECRET_ACCESS_KEY": server.secret_key,
    }


def target_of(server, bucket, rules=RULES, **change) -> Target:
    (target,) = read_targets(load_settings(environ(server, bucket)))
    return replace(target, rules=rules, **change)


@pytest.fixture
def bucket(s3_server, fresh_bucket):
    """A fresh bucket on each server."""
    return fresh_bucket(s3_server)


@pytest.fixture
def target(s3_server, bucket):
    return target_of(s3_server, bucket)


def bring_about(target):
    """Apply what differs and require that it took."""
    left = apply(target.endpoint, target.wanted, plan(target.endpoint, target.wanted))
    assert left.changes == ()


def lines(target):
    return [
        f"{change.sign} {change.setting} {change.name}".strip()
        for change in plan(target.endpoint, target.wanted).changes
    ]


def test_plan_apply_check_and_again(target):
    """What was applied is no longer different, and applying it again changes nothing."""
    assert "+ cors mediaplane-upload" in lines(target)
    bring_about(target)
    assert lines(target) == []
    bring_about(target)


def test_server_that_nobody_named_gets_what_every_s3_has(s3_server, bucket):
    """Without S3_PROVIDER: settings that all servers know, and none that one of them takes for something else."""
    target = target_of(s3_server, f"{bucket}-other")
    target = replace(target, endpoint=replace(target.endpoint, provider_name="other"))
    bring_about(target)
    assert lines(target) == []


def test_missing_bucket_is_made_with_all_its_settings(s3_server, bucket):
    """Nothing has to be there before."""
    for public in (False, True):
        fresh = target_of(s3_server, f"{bucket}-{public}".lower(), public=public)
        assert lines(fresh)[0] == "+ bucket"
        bring_about(fresh)
        assert lines(fresh) == []


def test_drift_is_named_and_only_drift_is_mended(s3_server, target):
    """What was changed by hand is named and mended; rules of others are there before and after."""
    bring_about(target)
    client, place = s3_server.client(), {"Bucket": target.endpoint.bucket}
    theirs = {"ID": "theirs", "AllowedOrigins": ["https://theirs.example"], "AllowedMethods": ["DELETE"]}
    rules = client.get_bucket_cors(**place)["CORSRules"]
    rules[0]["AllowedMethods"] = ["GET"]
    client.put_bucket_cors(**place, CORSConfiguration={"CORSRules": [*rules, theirs]})
    client.put_bucket_versioning(**place, VersioningConfiguration={"Status": "Suspended"})
    expected = ["~ versioning", "~ cors mediaplane-upload"]
    if s3_server.name == "rgw":
        lifecycle = client.get_bucket_lifecycle_configuration(**place)["Rules"]
        kept = [rule for rule in lifecycle if rule["ID"] != "mediaplane-expire-temp"]
        kept.append({"ID": "theirs", "Status": "Enabled", "Filter": {"Prefix": "old/"}, "Expiration": {"Days": 1}})
        client.put_bucket_lifecycle_configuration(**place, LifecycleConfiguration={"Rules": kept})
        expected.append("+ lifecycle mediaplane-expire-temp")
    assert lines(target) == expected
    bring_about(target)
    assert theirs["ID"] in [rule["ID"] for rule in client.get_bucket_cors(**place)["CORSRules"]]
    if s3_server.name == "rgw":
        assert "theirs" in [rule["ID"] for rule in client.get_bucket_lifecycle_configuration(**place)["Rules"]]


def test_rules_that_the_profile_gave_up_are_removed(s3_server, target):
    """Ours go, down to an empty document; the bucket itself stays, also where it is empty."""
    bring_about(target)
    empty = replace(target, rules=BucketRules(cors_origins=(), upload_origins=(), unfinished_days=0))
    assert all(line.startswith("-") for line in lines(empty))
    bring_about(empty)
    assert buckets.exists(target.endpoint)
    client = s3_server.client()
    with pytest.raises(client.exceptions.ClientError, match="NoSuchCORSConfiguration"):
        client.get_bucket_cors(Bucket=target.endpoint.bucket)


def test_change_by_somebody_else_meanwhile_is_not_overwritten(s3_server, target):
    """What was agreed on is what is done, or nothing."""
    agreed = plan(target.endpoint, target.wanted)
    s3_server.client().put_bucket_versioning(
        Bucket=target.endpoint.bucket, VersioningConfiguration={"Status": "Enabled"}
    )
    with pytest.raises(StorageError, match="plan again"):
        apply(target.endpoint, target.wanted, agreed)


def test_pages_may_do_what_the_rules_say(s3_server, target):
    """Real preflights: pages of the profile upload, all pages read, strangers do not upload."""
    bring_about(target)
    signer = S3Signer(target.endpoint, lifetime=timedelta(hours=1))
    s3_server.client().put_object(Bucket=target.endpoint.bucket, Key="a.m4s", Body=b"0123456789")
    read, write = signer.sign_get("a.m4s"), signer.sign_put("b", size_bytes=1, content_type="video/mp4")

    def allowed(url, origin, method):
        asked = {"Origin": origin, "Access-Control-Request-Method": method, "Access-Control-Request-Headers": "range"}
        told = httpx.options(url, headers=asked).headers
        # as a browser reads it: SeaweedFS names the origin also where another method of it is allowed
        methods = [name.strip() for name in told.get("access-control-allow-methods", "").split(",")]
        return "access-control-allow-origin" in told and method in methods

    # SeaweedFS takes no `*` for a port, which the plan says
    named = () if s3_server.name == "seaweed" else ("http://localhost:5173",)
    assert any(entry.setting == "cors" for entry in target.wanted.cannot) == (not named)
    for origin in ("https://app.xum-ai.app", *named):
        assert allowed(write, origin, "PUT")
        assert allowed(read, origin, "GET")
    assert allowed(read, "https://anybody.example", "GET")
    assert not allowed(write, "https://anybody.example", "PUT")
    assert not allowed(write, "https://xum-ai.app.evil.example", "PUT")
    page = {"Origin": "https://app.xum-ai.app"}
    sent = httpx.put(write, content=b"x", headers={**page, "Content-Type": "video/mp4"})
    assert sent.status_code == 200
    assert "etag" in sent.headers["access-control-expose-headers"].lower()
    part = httpx.get(read, headers={**page, "Range": "bytes=0-3"})
    assert part.status_code == 206
    assert "content-range" in part.headers["access-control-expose-headers"].lower()


def test_public_store_is_read_by_anybody_and_listed_by_nobody(s3_server, bucket):
    """And a private one is neither; going from public to private shuts it again."""
    public = target_of(s3_server, bucket, public=True)
    url = f"{s3_server.http_endpoint}/{bucket}"
    s3_server.client().put_object(Bucket=bucket, Key="poster.jpg", Body=b"jpg")
    assert httpx.get(f"{url}/poster.jpg").status_code == 403
    bring_about(public)
    assert httpx.get(f"{url}/poster.jpg").content == b"jpg"
    assert httpx.get(f"{url}?list-type=2").status_code == 403
    assert httpx.put(f"{url}/x", content=b"").status_code == 403
    private = replace(public, public=False)
    assert "- policy MediaplanePublicRead" in lines(private)
    bring_about(private)
    assert httpx.get(f"{url}/poster.jpg").status_code == 403


def test_bucket_that_strangers_can_list_is_shut(s3_server, target):
    """By an ACL or by a policy of somebody else's: it is seen, told and mended; named users keep what they may."""
    bring_about(target)
    client, name = s3_server.client(), target.endpoint.bucket
    if s3_server.name == "rgw":
        client.delete_public_access_block(Bucket=name)
    client.put_bucket_acl(Bucket=name, ACL="public-read")
    anyone = {"Sid": "Web", "Effect": "Allow", "Principal": "*", "Action": "s3:ListBucket"}
    ann = {**anyone, "Sid": "Ann", "Principal": {"AWS": "arn:aws:iam:::user/guest"}}
    statements = [{**entry, "Resource": f"arn:aws:s3:::{name}"} for entry in (anyone, ann)]
    client.put_bucket_policy(Bucket=name, Policy=json.dumps({"Version": "2012-10-17", "Statement": statements}))
    assert httpx.get(f"{s3_server.http_endpoint}/{name}?list-type=2").status_code == 200
    assert {"- policy Web", "- acl AllUsers READ"} <= set(lines(target))
    bring_about(target)
    assert httpx.get(f"{s3_server.http_endpoint}/{name}?list-type=2").status_code == 403
    policy = json.loads(client.get_bucket_policy(Bucket=name)["Policy"])
    assert [entry["Sid"] for entry in policy["Statement"]] == ["Ann"]


def test_keys_that_may_not_look_are_told(s3_server, target):
    """Unknown is not taken for unset, and nothing is changed."""
    bring_about(target)
    guest = replace(
        target.endpoint, access_key_id=s3_server.guest_access_key, secret_access_key=s3_server.guest_secret_key
    )
    difference = plan(guest, target.wanted)
    setting, permission = ("cors", "s3:GetBucketCORS") if s3_server.name == "rgw" else ("acl", "s3:GetBucketAcl")
    assert permission in difference.unknown[setting]
    assert not any(change.setting == setting for change in difference.changes)
    with pytest.raises(AccessDenied):
        plan(replace(target.endpoint, secret_access_key="wrong"), target.wanted)


def test_keys_that_may_look_but_not_change_are_told_what_they_lack(s3_server, target):
    """By the name of the permission."""
    reader = replace(
        target.endpoint, access_key_id=s3_server.guest_access_key, secret_access_key=s3_server.guest_secret_key
    )
    if s3_server.name == "rgw":
        resource = f"arn:aws:s3:::{reader.bucket}"
        statement = {"Effect": "Allow", "Principal": {"AWS": "arn:aws:iam:::user/guest"}, "Resource": resource}
        looks = {**statement, "Sid": "Looks", "Action": ["s3:GetBucketCORS", "s3:ListBucket"]}
        document = json.dumps({"Version": "2012-10-17", "Statement": [looks]})
        s3_server.client().put_bucket_policy(Bucket=reader.bucket, Policy=document)
    with pytest.raises(AccessDenied, match="s3:PutBucketCORS is missing"):
        apply(reader, target.wanted, only=("cors",))


def test_start_makes_a_bucket_whole_but_leaves_one_that_was_there(s3_server, bucket):
    """`mediaplane up`: a new bucket gets everything; an old one only CORS, which takes nothing away."""
    old = target_of(s3_server, bucket)
    assert prepare(old) == []
    assert not any("cors" in line for line in lines(old))
    assert "+ versioning" in lines(old)
    fresh = target_of(s3_server, f"{bucket}-new")
    assert prepare(fresh) == []
    assert lines(fresh) == []


def test_start_leaves_a_bucket_alone_that_is_not_managed(s3_server, bucket):
    """`managed = false`: it is not even made, and the remark says how."""
    rules = replace(RULES, managed=False)
    old = target_of(s3_server, bucket, rules)
    before = lines(old)
    assert prepare(old) == []
    assert lines(old) == before
    (remark,) = prepare(target_of(s3_server, f"{bucket}-missing", rules))
    assert "--force" in remark
    embedded = target_of(s3_server, f"{bucket}-embedded", rules, embedded=True)
    assert prepare(embedded) == []
    assert lines(embedded) == []


def run(monkeypatch, env, *arguments):
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    return CliRunner().invoke(app, ["bucket", *arguments])


def test_commands_tell_by_their_exit_status(s3_server, bucket, tmp_path, monkeypatch):
    """check 1, plan 0, apply 0, check 0, drift, check 1 with its name, apply 0; nobody to ask is no yes."""
    env = environ(s3_server, bucket)
    assert run(monkeypatch, env, "check").exit_code == 1
    planned = run(monkeypatch, env, "plan")
    assert planned.exit_code == 0
    assert "+ cors mediaplane-upload: pages of * may GET, HEAD, PUT" in planned.output
    assert isinstance(run(monkeypatch, env, "apply").exception, StorageError)
    assert run(monkeypatch, env, "apply", "--yes").exit_code == 0
    checked = run(monkeypatch, env, "check", "--json")
    assert checked.exit_code == 0
    (entry,) = json.loads(checked.output)["buckets"]
    assert (entry["clean"], entry["changes"], entry["bucket"]) == (True, [], bucket)
    told = [line["what"] for line in entry["cannot"]]
    assert "frame moves to a colder class after 30 days" in told  # nobody named Ceph's class
    assert ("clip expires after 30 days (videos/clips/)" in told) == (s3_server.name == "seaweed")
    s3_server.client().delete_bucket_cors(Bucket=bucket)
    drifted = run(monkeypatch, env, "check")
    assert drifted.exit_code == 1
    assert "mediaplane-upload" in drifted.output
    assert run(monkeypatch, env, "apply", "--yes").exit_code == 0
    assert run(monkeypatch, env, "check").exit_code == 0


def test_commands_on_a_bucket_that_is_not_managed(s3_server, bucket, tmp_path, monkeypatch):
    """`check` reports and passes; `apply` changes nothing until it is forced."""
    profile = tmp_path / "own.toml"
    profile.write_text('[bucket]\nmanaged = false\n[layout]\noriginal = "o/{asset_id}"\n')
    env = environ(s3_server, bucket, profile)
    checked = run(monkeypatch, env, "check")
    assert checked.exit_code == 0
    assert "+ cors" in checked.output
    assert run(monkeypatch, env, "apply", "--yes").exit_code == 0
    assert "+ cors" in run(monkeypatch, env, "check").output
    assert run(monkeypatch, env, "apply", "--yes", "--force").exit_code == 0
    assert "+ cors" not in run(monkeypatch, env, "check").output


def test_policy_command_prints_json(s3_server, bucket, monkeypatch):
    """One policy for one role, one a role without; of a bucket, with the users that are named."""
    env = environ(s3_server, bucket)
    one = json.loads(run(monkeypatch, env, "policy", "--role", "worker").stdout)
    assert one["Statement"]
    assert set(json.loads(run(monkeypatch, env, "policy").stdout)) == {"gateway", "worker", "scanner"}
    whole = json.loads(run(monkeypatch, env, "policy", "--format", "bucket", "--principal", "x/{role}").stdout)
    users = {user for entry in whole["Statement"] for user in entry["Principal"]["AWS"]}
    assert users == {"x/gateway", "x/worker", "x/scanner"}
    assert run(monkeypatch, env, "policy", "--role", "admin").exit_code == 2
    assert run(monkeypatch, env, "check", "--store", "other").exit_code == 2


@contextmanager
def listener():
    """A web hook: gives its URL and what it was told."""
    told = []

    class Hook(BaseHTTPRequestHandler):
        def do_POST(self):
            told.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_):
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Hook)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/hook", told
    finally:
        server.shutdown()
        server.server_close()


def test_ceph_tells_a_webhook_of_new_originals(rgw, fresh_bucket):
    """Of originals, not of what is made of them; a new URL is a change; given up, it is told no more."""
    name = fresh_bucket(rgw)
    client = rgw.client()
    with listener() as (url, told):
        target = target_of(rgw, name, BucketRules(events=url))
        bring_about(target)
        client.put_object(Bucket=name, Key="videos/original/a/master.mp4", Body=b"x")
        client.put_object(Bucket=name, Key="videos/clips/a/c.mp4", Body=b"x")
        assert [record["s3"]["object"]["key"] for event in told for record in event["Records"]] == [
            "videos/original/a/master.mp4"
        ]
        moved = replace(target, rules=BucketRules(events=f"{url}/other"))
        assert lines(moved) == ["~ events mediaplane-originals"]
        bring_about(moved)
        silent = replace(target, rules=BucketRules())
        assert lines(silent) == ["- events mediaplane-originals"]
        bring_about(silent)
        client.put_object(Bucket=name, Key="videos/original/b/master.mp4", Body=b"x")
        assert len(told) == 1


@pytest.fixture(scope="module")
def quick_rgw(tmp_path_factory, s3_certificate, rgw):
    """Another Ceph, whose lifecycle day lasts two seconds."""
    assert not missing_binaries(), "the fixture `rgw` has looked"
    users = {"owner": (rgw.access_key, rgw.secret_key)}
    ports = (free_port(), free_port())
    cluster = Rgw(
        tmp_path_factory.mktemp("quick"), s3_certificate.certificate, s3_certificate.private_key, rgw.domain, users,
        *ports, more_config="rgw lc debug interval = 2",
    )  # fmt: skip
    try:
        cluster.start()
        yield replace(rgw, http_endpoint=f"http://127.0.0.1:{ports[0]}", https_endpoint=f"https://127.0.0.1:{ports[1]}")
    finally:
        cluster.stop()


def test_lifecycle_that_was_applied_runs(quick_rgw):
    """Ceph really removes old clips and abandoned uploads, and nothing else."""
    rules = BucketRules(expire_days={"clip": 1, "temp/": 10_000}, unfinished_days=1)
    target = target_of(quick_rgw, "quick", rules)
    bring_about(target)
    client = buckets.open_client(target.endpoint)
    for key in ("videos/clips/a/c.mp4", "videos/original/a/master.mp4", "temp/x", "videos/clips-of-others/x"):
        client.put_object(Bucket="quick", Key=key, Body=b"x")
    client.create_multipart_upload(Bucket="quick", Key="videos/original/b/master.mp4")
    deadline = time.monotonic() + 60
    while True:
        left = sorted(entry["Key"] for entry in client.list_objects_v2(Bucket="quick")["Contents"])
        unfinished = client.list_multipart_uploads(Bucket="quick").get("Uploads", [])
        if ("videos/clips/a/c.mp4" not in left and not unfinished) or time.monotonic() > deadline:
            break
        time.sleep(0.5)
    assert left == ["temp/x", "videos/clips-of-others/x", "videos/original/a/master.mp4"]
    assert unfinished == []
