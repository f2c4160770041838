"""PostgreSQL: connections, migrations and named queries. All state of the system is in one schema."""

from psycopg.types.json import Jsonb

from mediaplane.postgres.migrate import admit_gateway, migrate, pending_migrations
from mediaplane.postgres.narrowing import GATEWAY_ROLE, Sight, narrowed
from mediaplane.postgres.pool import SCHEMA, Connection, Pool, connect, open_pool
from mediaplane.postgres.queries import load_queries, values_of

__all__ = [
    "GATEWAY_ROLE",
    "SCHEMA",
    "Connection",
    "Jsonb",
    "Pool",
    "Sight",
    "admit_gateway",
    "connect",
    "load_queries",
    "migrate",
    "narrowed",
    "open_pool",
    "pending_migrations",
    "values_of",
]
