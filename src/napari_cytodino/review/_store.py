"""The file of a case: facts, cells and events in SQLite; lines are only added."""

from __future__ import annotations

import os
import sqlite3
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import quote

from napari_cytodino.common import InputError
from napari_cytodino.review.state import KINDS, READING, SETTLING, Event
from napari_cytodino.review.tracked_cells import StoredCell

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path


SCHEMA = 1
"""Version of the tables; a file of a newer one is not touched."""

LONGEST = 10_000_000
"""Bytes of one value; no file may ask for more memory than that at a time."""

_WRONG = {
    "facts": "FALSE",
    "cells": "NOT (abs(y) < 1e12 AND abs(x) < 1e12 AND abs(area) < 1e18) OR id > "
    "(SELECT COUNT(*) FROM cells) OR id < 1",
    "events": "max(id, action, revision) > 1e15 OR kind NOT IN ('lock', 'reopen') "
    "AND (cell < 1 OR cell > (SELECT COUNT(*) FROM cells))",
}
"""Lines that no program of ours writes: places nowhere, cells that are not noted."""

_INNER = "sqlite^_%' ESCAPE '^"

APPLICATION = 0x43544F44
"""Marks our files among SQLite files ("CTOD")."""

_TABLES = f"""
CREATE TABLE facts (
  id INTEGER PRIMARY KEY, at TEXT NOT NULL, name TEXT NOT NULL, value TEXT NOT NULL);
CREATE TABLE cells (
  id INTEGER PRIMARY KEY, label INTEGER NOT NULL, y REAL NOT NULL, x REAL NOT NULL,
  area REAL NOT NULL, plane TEXT NOT NULL);
CREATE TABLE events (
  id INTEGER PRIMARY KEY, action INTEGER NOT NULL,
  kind TEXT NOT NULL CHECK (kind IN {KINDS}),
  at TEXT NOT NULL, reviewer TEXT NOT NULL,
  look TEXT NOT NULL CHECK (look IN {(READING, SETTLING)}),
  revision INTEGER NOT NULL, cell INTEGER NOT NULL, label INTEGER NOT NULL,
  was TEXT NOT NULL, now TEXT NOT NULL, why TEXT NOT NULL, model TEXT NOT NULL,
  checkpoint TEXT NOT NULL, undoes INTEGER NOT NULL);
"""

_GUARD = """
CREATE TRIGGER {table}_{what} BEFORE {what} ON {table} {when}
BEGIN SELECT RAISE(ABORT, 'lines of {table} are only added, never changed'); END;
"""

# INSERT OR REPLACE would delete without asking the trigger for DELETE
_AFTER_LAST = "WHEN NEW.id <= (SELECT COALESCE(MAX(id), 0) FROM {table})"


def _schema() -> list[str]:
    guards = [
        _GUARD.format(table=table, what=what, when=when.format(table=table))
        for table in ("facts", "cells", "events")
        for what, when in (("UPDATE", ""), ("DELETE", ""), ("INSERT", _AFTER_LAST))
    ]
    return [*(t for t in _TABLES.split(";") if t.strip()), *guards]


@dataclass
class ReviewStore:
    """An open file of a case.

    Attributes
    ----------
    path
        Where it lies.
    facts
        `image` (fingerprint), `case` (its name), `program` (that made the file).
    """

    path: Path
    facts: dict[str, str]
    _connection: sqlite3.Connection
    _node: tuple[int, int]

    @staticmethod
    def open(
        path: Path, first_facts: Mapping[str, str], at: str, *, read_only: bool
    ) -> ReviewStore:
        """Open a file, or make it when it may be written.

        Parameters
        ----------
        first_facts
            What a new file says of itself.
        at
            The time to note with them.

        Raises
        ------
        InputError
            When it is missing, damaged, newer, not ours, or the disk refuses.
        """
        if read_only and not path.is_file():
            raise InputError(f"There is no review in {path}; check the path.")
        with _plain_errors(path):
            connection = _connect(path, read_only=read_only)
            try:
                connection.execute("PRAGMA synchronous=FULL")
                # macOS calls a file synced that is still in the disk's own cache
                connection.execute("PRAGMA fullfsync=ON")
                _check(connection, path)
                if not _value(connection, "PRAGMA user_version"):
                    _create(connection, path, first_facts, at, read_only=read_only)
                facts = dict(
                    connection.execute("SELECT name, value FROM facts ORDER BY id")
                )
            except BaseException:
                connection.close()
                raise
            return ReviewStore(path, facts, connection, _node(path))

    def events_after(self, last: int) -> Iterator[Event]:
        """Give the events later than this id, oldest first."""
        columns = ", ".join(Event._fields)
        query = f"SELECT {columns} FROM events WHERE id > ? ORDER BY id"  # noqa: S608
        with _plain_errors(self.path):
            # not as a list: 50,000 events at once make Python's collector work hard
            yield from map(Event._make, self._connection.execute(query, (last,)))

    def cells_after(self, last: int) -> list[StoredCell]:
        """Return the cells noted later than this id, oldest first."""
        query = "SELECT * FROM cells WHERE id > ? ORDER BY id"
        with _plain_errors(self.path):
            return list(map(StoredCell._make, self._connection.execute(query, (last,))))

    def append(self, cells: Sequence[StoredCell], events: Sequence[Event]) -> None:
        """Write one action; it is on the disk when this returns, or not at all.

        Raises
        ------
        InputError
            When the disk refuses, or another program wrote meanwhile.
        """
        with self._writing() as connection:
            connection.executemany("INSERT INTO cells VALUES (?,?,?,?,?,?)", cells)
            marks = ",".join("?" * len(Event._fields))
            columns = ", ".join(Event._fields)
            line = f"INSERT INTO events ({columns}) VALUES ({marks})"  # noqa: S608
            connection.executemany(line, events)

    def note(self, name: str, value: str, at: str) -> None:
        """Write a further fact; of two with one name the later counts."""
        line = "INSERT INTO facts SELECT MAX(id) + 1, ?, ?, ? FROM facts"
        with self._writing() as connection:
            connection.execute(line, (at, name, value))
        self.facts[name] = value

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        with _plain_errors(self.path):
            # what is written to a file that was deleted is gone, without an error
            if not self.path.exists() or _node(self.path) != self._node:
                raise InputError(
                    f"{self.path} was moved or deleted while it was open, and nothing "
                    "of this action was recorded; put it back, or open the case anew."
                )
            with _transaction(self._connection) as connection:
                yield connection

    def close(self) -> None:
        """Close the file; what it kept beside itself goes into it."""
        with suppress(sqlite3.Error):
            self._connection.close()


def image_of(path: Path) -> str:
    """Return the fingerprint of the image of a record; empty where none can be read."""
    with suppress(InputError):
        file = ReviewStore.open(path, {}, "", read_only=True)
        file.close()
        return file.facts.get("image", "")
    return ""


def _connect(path: Path, *, read_only: bool) -> sqlite3.Connection:
    where = _uri(path)
    if not read_only:
        return _try(f"{where}?mode=rwc")
    # the mode for reading would leave files behind that readers make beside this one
    connection = _try(f"{where}?mode=rw")
    try:
        connection.execute("PRAGMA query_only=ON")
        _value(connection, "PRAGMA user_version")
    except sqlite3.Error as error:
        connection.close()
        # no folder that is read-only lets readers make them
        refused = isinstance(error, sqlite3.OperationalError)
        waiting = path.with_name(path.name + "-wal")
        if not refused or (waiting.is_file() and waiting.stat().st_size):
            raise
        connection = _try(f"{where}?mode=ro&immutable=1")
    return connection


def _uri(path: Path) -> str:
    # Path.as_uri makes a share's server an authority, which SQLite refuses
    name = path.absolute().as_posix()
    root = "" if name.startswith("/") else "/"
    return f"file://{root}{quote(os.fsencode(name), '/:')}"


def _node(path: Path) -> tuple[int, int]:
    found = path.stat()
    return found.st_dev, found.st_ino


def _try(uri: str) -> sqlite3.Connection:
    connection = sqlite3.connect(uri, uri=True, timeout=2.0, isolation_level=None)
    connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, LONGEST)
    # what stands in the tables of others calls no function
    connection.execute("PRAGMA trusted_schema=OFF")
    return connection


def _value(connection: sqlite3.Connection, query: str) -> int | str:
    value: int | str = connection.execute(query).fetchone()[0]
    return value


def _check(connection: sqlite3.Connection, path: Path) -> None:
    """Refuse what is not ours, is newer or is damaged, before anything is written."""
    version = int(_value(connection, "PRAGMA user_version"))
    mark = _value(connection, "PRAGMA application_id")
    tables = _value(connection, "SELECT COUNT(*) FROM sqlite_master")
    if mark != APPLICATION and (tables or version):
        raise InputError(
            f"{path} is a file of another program; choose another place for the review."
        )
    if version > SCHEMA:
        raise InputError(
            f"{path} was written by a newer napari-cytodino (schema {version}, this "
            f"one knows {SCHEMA}); update napari-cytodino to go on."
        )
    if version:
        _check_tables(connection, path)
    fault = _value(connection, "PRAGMA quick_check(1)")
    if fault != "ok":
        raise InputError(_damaged(path, str(fault)))
    if version:
        _check_types(connection, path)


def _check_tables(connection: sqlite3.Connection, path: Path) -> None:
    """Refuse a file that bears our mark, but has views, triggers or tables not ours."""
    query = f"SELECT type, name, sql FROM sqlite_master WHERE name NOT LIKE '{_INNER}'"  # noqa: S608
    own = sqlite3.connect(":memory:")
    try:
        for statement in _schema():
            own.execute(statement)
        wanted = set(own.execute(query))
    finally:
        own.close()
    if set(connection.execute(query)) != wanted:
        raise InputError(
            f"{path} has other tables than a review has, so that nothing in it is read "
            "or changed; get the review again from where it was written."
        )


def _check_types(connection: sqlite3.Connection, path: Path) -> None:
    """Refuse values of other types or of no sense; SQLite keeps what it is given."""
    for table in ("facts", "cells", "events"):
        columns = connection.execute(f"PRAGMA table_info({table})").fetchall()
        wrong = " OR ".join(
            (*(f"typeof({c[1]}) <> '{c[2].lower()}'" for c in columns), _WRONG[table])
        )
        found = connection.execute(f"SELECT id FROM {table} WHERE {wrong}").fetchone()  # noqa: S608
        if found:
            fault = f"line {found[0]} of {table} holds a value that cannot be"
            raise InputError(_damaged(path, fault))


def _create(
    connection: sqlite3.Connection,
    path: Path,
    facts: Mapping[str, str],
    at: str,
    *,
    read_only: bool,
) -> None:
    if read_only:
        raise InputError(f"{path} holds no review yet; open it to write first.")
    connection.execute("PRAGMA journal_mode=WAL")
    with _transaction(connection):
        for statement in _schema():
            connection.execute(statement)
        lines = [(n, at, *fact) for n, fact in enumerate(facts.items(), 1)]
        connection.executemany("INSERT INTO facts VALUES (?,?,?,?)", lines)
        connection.execute(f"PRAGMA application_id={APPLICATION}")
        connection.execute(f"PRAGMA user_version={SCHEMA}")


@contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield connection
        connection.execute("COMMIT")
    except BaseException:
        # after some faults SQLite has rolled back by itself
        if connection.in_transaction:
            with suppress(sqlite3.Error):
                connection.execute("ROLLBACK")
        raise


@contextmanager
def _plain_errors(path: Path) -> Iterator[None]:
    """Turn an error of SQLite into one sentence with the remedy."""
    try:
        yield
    except sqlite3.Error as error:
        raise InputError(_sentence(path, error)) from error
    except OSError as error:
        raise InputError(
            f"{path} cannot be opened ({error.strerror}); check folder and rights."
        ) from error


def _sentence(path: Path, error: sqlite3.Error) -> str:
    name = getattr(error, "sqlite_errorname", "")
    nothing = "nothing of this action was recorded"
    if name.startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB")):
        return _damaged(path, str(error))
    if name.startswith("SQLITE_FULL"):
        return f"{path}: the disk is full, {nothing}; free space and do it again."
    if name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED", "SQLITE_CONSTRAINT")):
        return (
            f"{path} was in use by another program ({error}), {nothing}; do it again."
        )
    return (
        f"{path} cannot be read or written ({error}), {nothing}; check the disk and "
        "the rights of the folder."
    )


def _damaged(path: Path, fault: str) -> str:
    fault = " ".join(fault.replace("*** in database main ***", "").split())
    return (
        f"{path} is damaged ({fault}) and was left as it is; restore it from a copy, "
        "or move it away to begin anew."
    )
