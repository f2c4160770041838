"""What a running `up` tells other commands, and for how long they wait for one that starts."""

import threading

import pytest

from mediaplane.embedded.running import Running, announce, find_running, only_one
from mediaplane.errors import NotRunning, ServiceFailed

RUNNING = Running(
    pid=1,
    url="http://127.0.0.1:1",
    database_url="postgresql://",
    storage_mode="local",
    s3_endpoint="",
    s3_bucket="",
    s3_access_key_id="",
    s3_secret_access_key="",
)


def test_up_that_starts_is_waited_for(tmp_path):
    """A command typed right after `mediaplane up &` works."""
    with only_one(tmp_path):
        threading.Timer(0.3, announce, (tmp_path, RUNNING)).start()
        assert find_running(tmp_path, wait_seconds=30) == RUNNING


def test_up_that_starts_too_long_is_told(tmp_path):
    """The command gives up and says why."""
    with only_one(tmp_path), pytest.raises(NotRunning, match="still starting"):
        find_running(tmp_path, wait_seconds=0.2)


def test_no_up_is_told_at_once(tmp_path):
    """Neither an empty directory nor one whose `up` has ended is waited for."""
    with pytest.raises(NotRunning, match="nothing runs"):
        find_running(tmp_path)
    with only_one(tmp_path):
        announce(tmp_path, RUNNING)
    with pytest.raises(NotRunning, match="nothing runs"):
        find_running(tmp_path)


def test_file_of_a_killed_up_is_not_believed(tmp_path):
    """It is there, but nobody holds the lock; the next `up` takes it away before it starts."""
    announce(tmp_path, RUNNING)
    with pytest.raises(NotRunning, match="nothing runs"):
        find_running(tmp_path)
    with only_one(tmp_path), pytest.raises(NotRunning, match="still starting"):
        find_running(tmp_path, wait_seconds=0.0)


def test_second_up_is_refused(tmp_path):
    """One state directory has one `up`."""
    with only_one(tmp_path), pytest.raises(ServiceFailed, match="already"), only_one(tmp_path):
        pass
