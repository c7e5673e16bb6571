"""One sound SQLite library per process.

SQLite before 3.51.3 can corrupt a WAL database (sqlite.org, "WAL-reset bug", fixed 2026-03-13), and two copies of the
library on one file in one process lose acknowledged rows, because closing a file in one copy drops the POSIX locks of
the other (sqlite.org/howtocorrupt, 2.2.1). So `pysqlite3` takes the place of the standard module, for us and for every
library that imports `sqlite3`, or the standard module is used where it is new enough; else the start refuses.

Import this module before anything that imports `sqlite3`.
"""

import sys
from types import ModuleType

OLDEST_SOUND = (3, 51, 3)


class UnsoundSqlite(RuntimeError):
    """No SQLite library is installed that is safe to use."""


def _install() -> ModuleType:
    import sqlite3 as standard  # noqa: PLC0415 - the version of the standard module decides what follows

    if standard.sqlite_version_info >= OLDEST_SOUND:
        return standard
    try:
        import pysqlite3  # noqa: PLC0415 - only where the standard module is too old
        import pysqlite3.dbapi2  # noqa: PLC0415
    except ImportError as error:
        raise UnsoundSqlite(
            f"This Python carries SQLite {standard.sqlite_version}, which can corrupt a WAL database. "
            "Install pysqlite3 (pip install 'pysqlite3>=0.6.1') or a Python with SQLite 3.51.3 or newer."
        ) from error
    if pysqlite3.sqlite_version_info < OLDEST_SOUND:
        raise UnsoundSqlite(
            f"pysqlite3 carries SQLite {pysqlite3.sqlite_version}, which can corrupt a WAL database. "
            "Install pysqlite3 0.6.1 or newer."
        )
    sys.modules["sqlite3"] = pysqlite3
    sys.modules["sqlite3.dbapi2"] = pysqlite3.dbapi2
    return pysqlite3  # type: ignore[no-any-return]  # pysqlite3 has no types


sqlite3 = _install()
"""The one SQLite module of this process."""
