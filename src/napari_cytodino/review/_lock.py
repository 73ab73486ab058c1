"""One writer for each case: a lock that ends with its process, however that ends."""

from __future__ import annotations

import os
import platform
import sqlite3
from contextlib import suppress
from datetime import datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


SUFFIX = "-lock"
"""Appended to the name of the file that is locked."""


class WriterLock:
    """The right to write one file, held until `release` or the end of the process.

    It is a small SQLite file beside, in which a transaction stays open: SQLite's file
    locks work on Windows, macOS and Linux, within one process too, and the system
    drops them when a process is killed. What was committed before, the name of the
    holder, can be read meanwhile.
    """

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        self._path, self._connection = path, connection

    @staticmethod
    def take(file: Path) -> tuple[WriterLock | None, str]:
        """Return the lock, or None and the reason in words."""
        path = file.with_name(file.name + SUFFIX)
        try:
            connection = sqlite3.connect(path, timeout=0.2, isolation_level=None)
        except sqlite3.Error as error:
            return None, f"{file.parent} cannot be written ({error})"
        try:
            # nothing here must outlive a power cut
            connection.execute("PRAGMA synchronous=OFF")
            connection.execute("PRAGMA journal_mode=MEMORY")
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("CREATE TABLE IF NOT EXISTS holder (name TEXT)")
            connection.execute("DELETE FROM holder")
            connection.execute("INSERT INTO holder VALUES (?)", (_me(),))
            connection.execute("COMMIT")
            connection.execute("BEGIN IMMEDIATE")
        except sqlite3.Error as error:
            reason = _reason(connection, path, error)
            connection.close()
            return None, reason
        return WriterLock(path, connection), ""

    def release(self) -> None:
        """Let others write; the small file goes."""
        self._connection.close()
        # where another holds it open by now, Windows refuses, and it may stay
        with suppress(OSError):
            self._path.unlink()


def _me() -> str:
    now = datetime.now().astimezone().isoformat(" ", timespec="minutes")
    return f"process {os.getpid()} on {platform.node()} since {now}"


def _reason(connection: sqlite3.Connection, path: Path, error: sqlite3.Error) -> str:
    if error.sqlite_errorname not in ("SQLITE_BUSY", "SQLITE_LOCKED"):
        return f"{path} cannot be written ({error})"
    holder = "another program"
    with suppress(sqlite3.Error, TypeError):
        connection.execute("ROLLBACK") if connection.in_transaction else None
        holder = connection.execute("SELECT name FROM holder").fetchone()[0]
    return f"it is open for writing in {holder}"
