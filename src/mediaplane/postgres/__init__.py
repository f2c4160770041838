"""PostgreSQL: connections, migrations and named queries. All state of the system is in one schema."""

from psycopg.types.json import Jsonb

from mediaplane.postgres.migrate import migrate, pending_migrations
from mediaplane.postgres.pool import SCHEMA, Connection, Pool, connect, open_pool
from mediaplane.postgres.queries import load_queries

__all__ = [
    "SCHEMA",
    "Connection",
    "Jsonb",
    "Pool",
    "connect",
    "load_queries",
    "migrate",
    "open_pool",
    "pending_migrations",
]
