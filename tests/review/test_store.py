"""The file refuses to forget, to be edited, and to be taken for what it is not."""

import sqlite3
import sys
from contextlib import closing
from itertools import pairwise
from pathlib import PureWindowsPath

import pytest

from napari_cytodino.common.errors import InputError
from napari_cytodino.review._store import ReviewStore, _uri, image_of
from napari_cytodino.review.state import READING, Event
from napari_cytodino.review.tracked_cells import StoredCell

NOW = "2026-01-01T00:00:00.000+00:00"


def event(number, **more):
    start = Event(number, number, "verdict", NOW, "Ann", READING, 1)
    return start._replace(**{"cell": 1, "label": 5, "now": "a", **more})


CELL = StoredCell(1, 5, 10.5, 20.25, 300.0, "")


@pytest.fixture
def path(tmp_path):
    """Return a file with one cell and two events, closed."""
    path = tmp_path / "a.cytodino.sqlite"
    file = ReviewStore.open(path, {"image": "i", "case": "c"}, NOW, read_only=False)
    file.append([CELL], [event(1), event(2, was="a", now="b", why="folded")])
    file.close()
    return path


def opened(path, *, read_only=False):
    return ReviewStore.open(path, {"image": "other"}, NOW, read_only=read_only)


def history(path):
    with closing(opened(path, read_only=True)) as file:
        return list(file.events_after(0))


@pytest.mark.parametrize("read_only", [False, True])
def test_what_was_written_is_there(path, read_only):
    file = opened(path, read_only=read_only)
    assert file.facts == {"image": "i", "case": "c"}
    assert file.cells_after(0) == [CELL]
    assert list(file.events_after(1)) == [event(2, was="a", now="b", why="folded")]
    file.close()
    assert [p.name for p in path.parent.iterdir()] == [path.name]


def test_any_sqlite_reads_the_history(path):
    plain = sqlite3.connect(path)
    query = "SELECT at, reviewer, label, was, now, why FROM events"
    assert plain.execute(query).fetchall() == [
        (NOW, "Ann", 5, "", "a", ""),
        (NOW, "Ann", 5, "a", "b", "folded"),
    ]
    plain.close()


def test_each_action_is_synced_before_it_is_acknowledged(path):
    file = opened(path)
    modes = [
        file._connection.execute(f"PRAGMA {name}").fetchone()[0]
        for name in ("journal_mode", "synchronous", "fullfsync")
    ]
    file.close()
    assert modes == ["wal", 2, 1]


@pytest.mark.parametrize(
    "edit",
    [
        "UPDATE events SET now = 'x'",
        "DELETE FROM events WHERE id = 2",
        "INSERT OR REPLACE INTO events SELECT * FROM events WHERE id = 1",
        "UPDATE cells SET y = 0",
        "DELETE FROM cells",
        "REPLACE INTO cells VALUES (1, 9, 0, 0, 0, '')",
        "UPDATE facts SET value = 'x'",
        "DELETE FROM facts",
        "REPLACE INTO facts VALUES (1, '', 'image', 'x')",
    ],
)
def test_edits_by_hand_are_refused(path, edit):
    plain = sqlite3.connect(path)
    with pytest.raises(sqlite3.IntegrityError, match="are only added"):
        plain.execute(edit)
    plain.close()


def test_a_full_disk_loses_nothing_and_is_told(path):
    file = opened(path)
    file._connection.execute("PRAGMA max_page_count=1")
    many = [event(n, why="w" * 500) for n in range(3, 200)]
    with pytest.raises(InputError, match=r"disk is full, nothing .* free space"):
        file.append([CELL._replace(id=2)], many)
    file._connection.execute("PRAGMA max_page_count=100000")
    assert len(list(file.events_after(0))) == 2
    assert len(file.cells_after(0)) == 1
    file.append([CELL._replace(id=2)], many)
    file.close()
    ids = [e.id for e in history(path)]
    assert all(b == a + 1 for a, b in pairwise(ids))
    assert len(ids) == 199


def test_an_event_number_that_is_taken_is_told(path):
    file = opened(path)
    with pytest.raises(InputError, match="in use by another program"):
        file.append([], [event(2)])
    file.close()


def test_a_database_kept_busy_is_told(path):
    file = opened(path)
    file._connection.execute("PRAGMA busy_timeout=1")
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(InputError, match=r"in use by another program .*do it again"):
        file.append([], [event(3)])
    other.execute("ROLLBACK")
    other.close()
    file.append([], [event(3)])
    file.close()


def test_a_later_fact_counts(path):
    file = opened(path)
    file.note("case", "17", NOW)
    assert file.facts == {"image": "i", "case": "17"}
    file.close()
    with closing(opened(path, read_only=True)) as again:
        assert again.facts == {"image": "i", "case": "17"}


@pytest.mark.skipif(sys.platform == "win32", reason="open files cannot be moved there")
@pytest.mark.parametrize("replaced", [False, True])
def test_nothing_is_written_into_a_file_that_was_moved_away(path, replaced):
    file = opened(path)
    moved = path.rename(path.with_name("moved"))
    if replaced:
        path.touch()
    with pytest.raises(InputError, match="moved or deleted while it was open"):
        file.append([], [event(3)])
    path.unlink(missing_ok=True)
    moved.rename(path)
    file.append([], [event(3)])
    file.close()
    assert len(history(path)) == 3


@pytest.mark.parametrize("name", ["50% #1?.sqlite", "größe мазок.sqlite"])
def test_a_path_may_have_any_name(tmp_path, name):
    opened(tmp_path / name).close()
    assert [p.name for p in tmp_path.iterdir()] == [name]
    assert image_of(tmp_path / name) == "other"


def test_a_share_is_no_authority():
    assert _uri(PureWindowsShare("//server/lab/a b.sqlite")) == (
        "file:////server/lab/a%20b.sqlite"
    )
    assert _uri(PureWindowsShare("C:/lab/a.sqlite")) == "file:///C:/lab/a.sqlite"


class PureWindowsShare(PureWindowsPath):
    """A path of Windows on any system."""

    def absolute(self):
        return self


def damage(path, start, stop):
    content = bytearray(path.read_bytes())
    content[start:stop] = b"\xff" * (stop - start)
    path.write_bytes(content)


@pytest.mark.parametrize(("start", "stop"), [(0, 16), (100, 4096), (8192, 12288)])
def test_a_damaged_file_is_told_and_left_as_it_is(path, start, stop):
    damage(path, start, stop)
    before = path.read_bytes()
    for read_only in (True, False):
        with pytest.raises(InputError, match=r"is damaged .* from a copy, or move"):
            opened(path, read_only=read_only)
    assert path.read_bytes() == before
    assert image_of(path) == ""


def test_a_file_cut_short_is_told(path):
    path.write_bytes(path.read_bytes()[:9000])
    with pytest.raises(InputError, match="is damaged"):
        opened(path)


def test_a_newer_file_is_not_touched(path):
    plain = sqlite3.connect(path)
    plain.execute("PRAGMA user_version=2")
    plain.close()
    before = path.read_bytes()
    with pytest.raises(InputError, match=r"newer .*\(schema 2, this one knows 1\)"):
        opened(path)
    assert path.read_bytes() == before


def test_a_file_of_another_program_is_not_touched(tmp_path):
    path = tmp_path / "a.sqlite"
    plain = sqlite3.connect(path)
    plain.execute("CREATE TABLE notes (a)")
    plain.close()
    before = path.read_bytes()
    with pytest.raises(InputError, match="file of another program"):
        opened(path)
    assert path.read_bytes() == before


def test_an_empty_file_is_begun_when_it_may_be(tmp_path):
    path = tmp_path / "a.sqlite"
    path.touch()
    with pytest.raises(InputError, match="holds no review yet"):
        opened(path, read_only=True)
    opened(path).close()
    assert image_of(path) == "other"


def test_a_missing_file_is_told(tmp_path):
    with pytest.raises(InputError, match="There is no review"):
        opened(tmp_path / "a.sqlite", read_only=True)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_instead_of_a_file_is_told(tmp_path):
    with pytest.raises(InputError, match="cannot be read or written"):
        opened(tmp_path)


def changed(path, *statements):
    """Change a file as no program of ours would, its triggers put back afterwards."""
    with closing(sqlite3.connect(path)) as plain:
        query = "SELECT name, sql FROM sqlite_master WHERE type = 'trigger'"
        guards = plain.execute(query).fetchall()
        plain.execute("PRAGMA ignore_check_constraints=1")
        for name, _ in guards:
            plain.execute(f"DROP TRIGGER {name}")
        for statement in statements:
            plain.execute(statement)
        for _, sql in guards:
            plain.execute(sql)
        plain.commit()


BOMB = "SELECT 1 AS id, '' AS at, 'image' AS name, 'i' AS value"


@pytest.mark.parametrize(
    "statements",
    [
        ["DROP TABLE events"],
        ["CREATE TABLE notes (a)"],
        ["CREATE VIEW more AS SELECT * FROM facts"],
        ["ALTER TABLE cells ADD COLUMN more TEXT"],
        ["CREATE TRIGGER t AFTER INSERT ON facts BEGIN SELECT abs(1); END"],
        ["CREATE TABLE old AS SELECT * FROM cells", "DROP TABLE cells",
         f"CREATE VIEW cells AS {BOMB}"],
    ],
    ids=["no table", "more tables", "view", "column", "trigger", "view for table"],
)  # fmt: skip
def test_other_tables_under_our_mark_are_refused(path, statements):
    with closing(sqlite3.connect(path)) as plain:
        try:
            for statement in statements:
                plain.execute(statement)
        except sqlite3.OperationalError:
            pytest.skip("this SQLite refuses already")
        plain.commit()
    before = path.read_bytes()
    with pytest.raises(InputError, match="has other tables than a review"):
        opened(path)
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE events SET cell = 9 WHERE id = 2",
        "UPDATE events SET cell = x'00ff' WHERE id = 2",
        "UPDATE events SET why = x'00ff' WHERE id = 2",
        "UPDATE events SET kind = 'run' WHERE id = 2",
        "UPDATE events SET id = 9223372036854775807 WHERE id = 2",
        "UPDATE cells SET y = 1e999",
        "UPDATE cells SET area = 'large'",
        "UPDATE cells SET id = 7",
        "UPDATE facts SET value = x'00'",
        "UPDATE events SET why = zeroblob(20000000) WHERE id = 2",
    ],
)
def test_values_that_no_program_of_ours_writes_are_refused(path, statement):
    changed(path, statement)
    before = path.read_bytes()
    for read_only in (True, False):
        with pytest.raises(InputError, match=r"is damaged|cannot be read"):
            opened(path, read_only=read_only)
    assert path.read_bytes() == before
