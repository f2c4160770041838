"""Views under the names that a deployment's own tools knew before; its profile lists them."""

from collections.abc import Sequence

from mediaplane.errors import SettingInvalid
from mediaplane.postgres import Connection, load_queries

SQL = load_queries("views")


async def install(conn: Connection, names: Sequence[str]) -> None:
    """Create the views.

    Raises:
        SettingInvalid: the profile names one that we do not know.
    """
    for name in names:
        if name not in SQL:
            raise SettingInvalid("MEDIAPLANE_PROFILE", f"[views] may name {', '.join(sorted(SQL))}, not {name!r}")
        await conn.execute(SQL[name])
