"""What an S3 server can do, asked over connections that end."""

import pytest
from botocore.exceptions import ClientError, ConnectionClosedError

from mediaplane.storage.compatibility.subject import Subject
from tests.services.fault_server import Broken, Status, fault_server


def test_a_lost_connection_is_no_answer():
    """A connection that the server closed in between is opened anew, once; what it answers is taken as it is."""
    with fault_server("bucket") as server:
        subject = Subject(server.endpoint())
        server.fail("PutObject", Broken(reset=False, done=False))
        subject.put("a", b"bytes")
        assert subject.get("a") == b"bytes"
        assert server.count("PutObject") == 2

        server.fail("GetObject", Status(503, "SlowDown"))
        with pytest.raises(ClientError):
            subject.get("a")
        assert server.count("GetObject") == 2

        server.fail("PutObject", Broken(reset=False, done=False), times=2)
        with pytest.raises(ConnectionClosedError):
            subject.put("b")
        assert server.count("PutObject") == 4
