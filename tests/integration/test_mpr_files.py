"""The functions of `mediaplane.storage` for scripts written against boto3, set up as `mpr` does, on real S3 servers."""

import gc
import os
import pickle
import signal
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from botocore.exceptions import ClientError

from mediaplane import storage
from mediaplane.errors import ObjectNotFound, SettingInvalid, StorageError
from mediaplane.storage import files, temporary
from tests.acceptance.plane import OURS

KEY = "chunks/2025-04-15/match 01+é.mp4"


@pytest.fixture
def deployment(s3_server, fresh_bucket, monkeypatch):
    """Set the variables of the deployment, and no others, to two fresh buckets."""
    use_deployment(monkeypatch, s3_server, s3_server.http_endpoint)
    monkeypatch.setenv("S3_BUCKET_IN", fresh_bucket(s3_server))
    monkeypatch.setenv("S3_BUCKET_OUT", fresh_bucket(s3_server))


def use_deployment(monkeypatch, server, endpoint):
    for name in list(os.environ):
        if name.startswith(OURS):
            monkeypatch.delenv(name)
    monkeypatch.setenv("S3_ENDPOINT_URL", endpoint)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", server.access_key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", server.secret_key)
    monkeypatch.setenv("AWS_DEFAULT_REGION", server.region)


@pytest.fixture
def source(tmp_path):
    path = tmp_path / "match.mp4"
    path.write_bytes(os.urandom(100_000))
    return path


def names(directory):
    return sorted(path.name for path in directory.iterdir())


def run_script(text, *arguments, check=True):
    return subprocess.run(
        [sys.executable, "-c", text, *arguments], capture_output=True, text=True, timeout=60, check=check
    )


def test_files_go_up_are_listed_and_come_down(deployment, source, tmp_path):
    """What is uploaded is listed under its relative key, typed by it, and comes back the same, directories made."""
    assert storage.upload_file(source, storage.BUCKET_IN, KEY) == f"s3://{storage.BUCKET_IN}/{KEY}"
    assert storage.list_objects(storage.BUCKET_IN) == [KEY]
    assert storage.list_objects(storage.BUCKET_IN, "chunks/2025-04-15/") == [KEY]
    assert storage.list_objects(storage.BUCKET_IN, prefix="other/") == []
    assert storage.list_objects(storage.BUCKET_OUT) == []
    head = storage.get_s3_client().head_object(Bucket=storage.BUCKET_IN, Key=KEY)
    assert head["ContentType"] == "video/mp4"
    target = tmp_path / "new" / "folder" / "copy.mp4"
    assert storage.download_file(storage.BUCKET_IN, KEY, str(target)) == target
    assert target.read_bytes() == source.read_bytes()
    assert names(target.parent) == ["copy.mp4"], "nothing unfinished is left"


def test_large_file_goes_in_parts_and_is_checked(deployment, tmp_path):
    """A file of more than one part arrives whole, both ways."""
    source = tmp_path / "large.bin"
    source.write_bytes(os.urandom((33 << 20) + 7))
    storage.upload_file(source, storage.BUCKET_OUT, "large.bin", content_type="application/x-own")
    head = storage.get_s3_client().head_object(Bucket=storage.BUCKET_OUT, Key="large.bin")
    assert head["ETag"].endswith('-3"') and head["ContentType"] == "application/x-own"
    copy = storage.download_file(storage.BUCKET_OUT, "large.bin", tmp_path / "copy.bin")
    assert copy.read_bytes() == source.read_bytes()


def test_every_page_of_a_list_is_read(deployment):
    """More keys than one answer holds are all listed."""
    client = storage.get_s3_client()
    with ThreadPoolExecutor(8) as threads:
        for number in range(1005):
            threads.submit(client.put_object, Bucket=storage.BUCKET_IN, Key=f"many/{number:04}", Body=b"")
    assert storage.list_objects(storage.BUCKET_IN, "many/") == [f"many/{number:04}" for number in range(1005)]


def test_missing_object_is_caught_in_each_way(deployment, tmp_path):
    """It is botocore's ClientError with its code, Python's FileNotFoundError, and ours; no file is left."""
    for caught in (ClientError, FileNotFoundError, ObjectNotFound):
        with pytest.raises(caught):
            storage.download_file(storage.BUCKET_IN, "nope.mp4", tmp_path / "x" / "nope.mp4")
    with pytest.raises(files.ObjectMissing) as missing:
        storage.download_to_temp(storage.BUCKET_IN, "nope.mp4")
    assert missing.value.response["Error"]["Code"] == "404" and missing.value.code == "object_not_found"
    assert str(missing.value) == f"nothing is stored at s3://{storage.BUCKET_IN}/nope.mp4"
    assert str(pickle.loads(pickle.dumps(missing.value))) == str(missing.value)
    assert names(tmp_path / "x") == []


def test_refusals_of_the_client_pass_through(deployment, monkeypatch):
    """What S3 refuses is boto3's own error, as such scripts expect."""
    with pytest.raises(ClientError, match="NoSuchBucket"):
        storage.list_objects("there-is-no-such-bucket")
    with pytest.raises(ClientError, match="NoSuchKey"):
        storage.get_s3_client().get_object(Bucket=storage.BUCKET_IN, Key="nope")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    with pytest.raises(ClientError, match="SignatureDoesNotMatch"):
        storage.list_objects(storage.BUCKET_IN)


def test_damaged_download_does_not_replace_a_file(deployment, source, tmp_path, monkeypatch):
    """What came with other bytes, or cut short, is refused; the file that was there stays."""
    storage.upload_file(source, storage.BUCKET_IN, KEY)
    target = tmp_path / "target.mp4"
    target.write_bytes(b"old")
    for damage in (lambda content: content[:-1], lambda content: b"?" + content[1:]):
        with monkeypatch.context() as patch:
            damaging = Damaging(storage.get_s3_client(), damage)
            patch.setattr(files, "get_s3_client", lambda damaging=damaging: damaging)
            with pytest.raises(StorageError, match="damaged"):
                storage.download_file(storage.BUCKET_IN, KEY, target)
            with pytest.raises(StorageError, match="damaged"):
                storage.download_to_temp(storage.BUCKET_IN, KEY)
        assert target.read_bytes() == b"old"
    assert names(tmp_path) == ["match.mp4", "target.mp4"]


def test_damaged_upload_is_told(deployment, source, monkeypatch):
    """A file that is stored with other bytes than it has is an error, not a success."""
    real = storage.get_s3_client()

    class Changing(Delegate):
        def upload_file(self, path, *arguments, **options):
            real.upload_file(path, *arguments, **options)
            Path(path).write_bytes(b"?" + Path(path).read_bytes()[1:])

    monkeypatch.setattr(files, "get_s3_client", lambda: Changing(real))
    with pytest.raises(StorageError, match="is not what was sent"):
        storage.upload_file(source, storage.BUCKET_IN, KEY)


class Delegate:
    def __init__(self, client):
        self.client = client

    def __getattr__(self, name):
        return getattr(self.client, name)


class Damaging(Delegate):
    def __init__(self, client, damage):
        super().__init__(client)
        self.damage = damage

    def download_fileobj(self, bucket, key, file, **_):
        file.write(self.damage(self.client.get_object(Bucket=bucket, Key=key)["Body"].read()))


def test_download_into_a_directory_is_refused(deployment, source, tmp_path):
    """Nothing is fetched where the target cannot be the file."""
    with pytest.raises(IsADirectoryError):
        storage.download_file(storage.BUCKET_IN, KEY, tmp_path)


def test_temporary_file_is_text_and_goes_with_its_block(deployment, source):
    """It is a path for whoever takes text, keeps the key's extension, and is gone after the block."""
    storage.upload_file(source, storage.BUCKET_IN, KEY)
    with storage.download_to_temp(storage.BUCKET_IN, KEY) as path:
        assert isinstance(path, str) and path.endswith(".mp4")
        assert Path(path).read_bytes() == source.read_bytes() == path.read_bytes()
        assert path.stat().st_size == 100_000 and path.suffix == ".mp4" and path.exists()
        copy = pickle.loads(pickle.dumps(path))
        assert type(copy) is str and copy == path
        del copy
        assert path.exists(), "a copy for another process does not own the file"
    assert not path.exists()
    path.remove()  # twice is no error


def test_temporary_file_goes_with_its_last_reference(deployment, source):
    """Nobody has to remove it; `str` of it counts as a reference."""
    storage.upload_file(source, storage.BUCKET_IN, "no-extension")
    path = str(storage.download_to_temp(storage.BUCKET_IN, "no-extension", suffix=".bin"))
    place = Path(path[:])
    assert place.exists() and place.suffix == ".bin"
    del path
    gc.collect()
    assert not place.exists()


def test_temporary_files_go_when_the_process_ends(deployment, source):
    """At its end a process leaves none; those of a process that was killed go with the next that makes one."""
    storage.upload_file(source, storage.BUCKET_IN, KEY)
    script = (
        "import sys, os, signal\nfrom mediaplane.storage import download_to_temp, BUCKET_IN\n"
        "path = download_to_temp(BUCKET_IN, sys.argv[1])\nprint(path, flush=True)\n"
        "if len(sys.argv) > 2: os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    ended = Path(run_script(script, KEY).stdout.strip())
    assert not ended.exists() and not ended.parent.exists()
    killed = run_script(script, KEY, "kill", check=False)
    left = Path(killed.stdout.strip())
    assert killed.returncode == -signal.SIGKILL and left.exists()
    with storage.download_to_temp(storage.BUCKET_IN, KEY) as mine:
        temporary.remove_abandoned()
        assert not left.parent.exists()
        assert mine.exists(), "that of a living process stays"


def test_presigned_urls_let_anybody_do_one_thing(deployment, source):
    """Signed with SigV4, for the method that was asked for and no other, for as long as was asked."""
    storage.upload_file(source, storage.BUCKET_OUT, KEY)
    url = storage.get_presigned_url(storage.BUCKET_OUT, KEY, expires_in=60)
    assert "X-Amz-Algorithm=AWS4-HMAC-SHA256" in url and "X-Amz-Expires=60" in url
    assert httpx.get(url).content == source.read_bytes()
    assert httpx.get(url, headers={"Range": "bytes=5-9"}).content == source.read_bytes()[5:10]
    assert httpx.put(url, content=b"x").status_code == 403
    for method in ("put_object", "PUT"):
        put = storage.get_presigned_url(storage.BUCKET_OUT, "by-url", method=method)
        assert httpx.put(put, content=b"new").status_code == 200
    assert storage.list_objects(storage.BUCKET_OUT) == ["by-url", KEY]
    for seconds in (0, 604_801):
        with pytest.raises(ValueError, match="604800"):
            storage.get_presigned_url(storage.BUCKET_OUT, KEY, expires_in=seconds)


def test_client_is_safe_against_the_checksum_traps(s3_server, fresh_bucket, monkeypatch, tmp_path):
    """Over HTTPS, where RGW 16 refuses what newer SDKs send by default, files go up and down all the same."""
    use_deployment(monkeypatch, s3_server, s3_server.https_endpoint)
    monkeypatch.setenv("S3_CA_FILE", str(s3_server.ca_file))
    bucket = fresh_bucket(s3_server)
    config = storage.get_s3_client().meta.config
    assert config.signature_version == "s3v4"
    assert config.request_checksum_calculation == config.response_checksum_validation == "when_required"
    source = tmp_path / "large.bin"
    source.write_bytes(os.urandom(17 << 20))
    storage.upload_file(source, bucket, "large.bin")
    storage.get_s3_client().put_object(Bucket=bucket, Key="small", Body=b"hello")
    assert storage.download_to_temp(bucket, "large.bin").read_bytes() == source.read_bytes()


def test_client_is_one_until_the_settings_change(deployment, monkeypatch):
    """Threads share a client; new keys get a new one."""
    first = storage.get_s3_client()
    assert storage.get_s3_client() is first
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "another")
    assert storage.get_s3_client() is not first


def test_nothing_to_talk_to_is_said(monkeypatch, tmp_path):
    """Without an endpoint and without a running plane the setting to make is named."""
    for name in list(os.environ):
        if name.startswith(OURS):
            monkeypatch.delenv(name)
    monkeypatch.setenv("MEDIAPLANE_STATE_DIR", str(tmp_path))
    with pytest.raises(SettingInvalid, match="S3_ENDPOINT"):
        storage.get_s3_client()


def test_temporary_directories_are_private():
    """No other user of the machine can read or replace what is in them."""
    path = Path(temporary.temporary_path(".mp4")[:])
    assert path.parent.stat().st_mode & 0o077 == 0
    assert path.parent.parent == Path(tempfile.gettempdir())
