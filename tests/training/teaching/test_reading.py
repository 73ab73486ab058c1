"""Taught cells as they lie on disk: whoever labelled them, the same crops and words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image

from napari_cytodino.cells.cells import cells_from_labels, cells_from_points
from napari_cytodino.cells.crops import iter_crops
from napari_cytodino.common.errors import InputError
from napari_cytodino.exports.tables import export
from napari_cytodino.images.source import read_image
from napari_cytodino.taxonomy.taxonomy import NOT_A_CELL
from napari_cytodino.training.data.crops import CellFile
from napari_cytodino.training.teaching.reading import (
    TaughtCells,
    codes_of,
    read_taught,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from napari_cytodino.cells.cells import Cells
    from napari_cytodino.checkpoints.checkpoint import Checkpoint
    from napari_cytodino.synthetic.smear import Smear

FIELD = 80


def crops_of(taught: TaughtCells, side: int = FIELD, batch: int = 4) -> np.ndarray:
    """Return the crops of all cells, in the order of their files."""
    made = np.zeros((len(taught.files), side, side, 3), np.uint8)
    seen: list[int] = []
    for part in taught.crops(side, batch):
        assert len(part.rows) <= batch
        assert part.readable.all()
        made[part.rows] = part.pixels
        seen += part.rows.tolist()
    assert sorted(seen) == list(range(len(taught.files)))
    return made


@pytest.fixture
def cells(smear: Smear) -> Cells:
    return cells_from_labels(smear.labels)


def test_class_folders(
    class_folders: Path, tiny: Checkpoint, drawn: tuple[Any, list[str]]
) -> None:
    [taught] = read_taught(class_folders, tiny.taxonomy)
    assert [file.code for file in taught.files] == sorted(drawn[1])
    numbers = [int(file.path[-6:-4]) for file in taught.files]
    np.testing.assert_array_equal(crops_of(taught), drawn[0][numbers])
    assert codes_of([taught, taught]) == sorted(set(drawn[1]))


def test_a_table_of_images_and_labels_with_patients(
    write_table: Callable[..., Path], tiny: Checkpoint, drawn: tuple[Any, list[str]]
) -> None:
    table = write_table(Patient=[f"P{k % 4}" for k in range(18)])
    [taught] = read_taught(table, tiny.taxonomy)
    assert [file.group for file in taught.files] == [f"P{k % 4}" for k in range(18)]
    assert [file.code for file in taught.files] == drawn[1]
    np.testing.assert_array_equal(crops_of(taught), drawn[0])


def test_a_reviewed_table_that_the_plugin_exported(
    tmp_path: Path, tiny: Checkpoint, make_field: Callable[..., Any]
) -> None:
    codes = tiny.taxonomy.codes
    said = {7: (codes[4], "A. Reader", "2026-01-02T03:04:05Z")}
    said[13] = (codes[9], "A. Reader", "2026-01-02T03:04:06Z")
    field = make_field(4, reviews=said)
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (*field.labels.shape, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    path = export(field.table, tmp_path / "a.cells.csv")
    for source in (path, tmp_path):
        [taught] = read_taught(source, tiny.taxonomy)
        assert {file.group for file in taught.files} == {"a.png"}
        named = [file.code for file in taught.files]
        made = dict(zip(named, crops_of(taught, 12), strict=True))
        # the cells lie in rows 4 to 13 and 44 to 53, from column 9 to 20
        assert set(made) == {codes[4], codes[9]}
        np.testing.assert_array_equal(made[codes[4]], pixels[3:15, 9:21])
        np.testing.assert_array_equal(made[codes[9]], pixels[43:55, 9:21])


def test_the_record_of_a_case_beside_its_image(
    tmp_path: Path,
    tiny: Checkpoint,
    smear: Smear,
    cells: Cells,
    write_record: Callable[..., Path],
) -> None:
    codes = tiny.taxonomy.codes
    record = write_record(tmp_path / "case", cells, {0: codes[1], 4: codes[2]})
    for source in (record, record.parent):
        [taught] = read_taught(source, tiny.taxonomy)
        assert [file.code for file in taught.files] == [codes[1], codes[2]]
        assert [file.place for file in taught.files] == [
            tuple(cells.centre[row]) for row in (0, 4)
        ]
        assert {file.group for file in taught.files} == {"field.png"}
        # the crops are those that a run cuts
        image = read_image(tmp_path / "case" / "field.png")
        [want] = iter_crops(image, cells.take(np.array([0, 4])), FIELD, 2)
        np.testing.assert_array_equal(crops_of(taught)[want.rows], want.pixels)


def test_two_readers_who_contradict_each_other_are_both_heard(
    tmp_path: Path,
    tiny: Checkpoint,
    cells: Cells,
    write_record: Callable[..., Path],
) -> None:
    one, two, three = tiny.taxonomy.codes[:3]
    record = write_record(
        tmp_path, cells, {0: one, 1: one, 2: NOT_A_CELL}, {0: one, 1: two, 5: three}
    )
    [taught] = read_taught(record, tiny.taxonomy)
    said = [(file.place, file.code) for file in taught.files]
    places = [tuple(place) for place in cells.centre]
    # the cell they contradict each other on stands there twice, for `merge` to find
    assert said == [(places[0], one), (places[1], one), (places[1], two),
                    (places[5], three)]  # fmt: skip


def test_a_folder_of_records_is_read_record_by_record(
    tmp_path: Path, tiny: Checkpoint, cells: Cells, write_record: Callable[..., Path]
) -> None:
    one, two = tiny.taxonomy.codes[:2]
    write_record(tmp_path, cells, {0: one}, name="b")
    write_record(tmp_path, cells, {1: two}, name="a")
    found = read_taught(tmp_path, tiny.taxonomy)
    assert [[file.code for file in taught.files] for taught in found] == [[two], [one]]
    assert codes_of(found) == [one, two]


def test_reading_a_record_changes_no_byte_and_locks_nobody_out(
    tmp_path: Path, tiny: Checkpoint, cells: Cells, write_record: Callable[..., Path]
) -> None:
    record = write_record(tmp_path, cells, {0: tiny.taxonomy.codes[0]})
    before = {p.name: p.read_bytes() for p in tmp_path.iterdir()}
    read_taught(record, tiny.taxonomy)
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == before


def test_single_images_and_places_keep_their_rows(
    tmp_path: Path, smear: Smear, cells: Cells, drawn: tuple[Any, list[str]]
) -> None:
    Image.fromarray(np.asarray(smear.image)).save(tmp_path / "field.png")
    Image.fromarray(drawn[0][0]).save(tmp_path / "one.png")
    at = [tuple(map(float, place)) for place in cells.centre[:2]]
    files = (
        CellFile("field.png", "x", place=at[1]),
        CellFile("one.png", "x"),
        CellFile("field.png", "x", place=at[0]),
    )
    made = crops_of(TaughtCells(files, tmp_path), batch=1)
    np.testing.assert_array_equal(made[1], drawn[0][0])
    image = read_image(tmp_path / "field.png")
    want = cells_from_points(np.array(at), image.shape, diameter=FIELD / 2)
    [batch] = iter_crops(image, want, FIELD, 2)
    np.testing.assert_array_equal(made[[2, 0]][batch.rows], batch.pixels)


# --- refused ---------------------------------------------------------------------


def test_a_record_without_its_image_is_refused(
    tmp_path: Path,
    tiny: Checkpoint,
    cells: Cells,
    write_record: Callable[..., Path],
    drawn: tuple[Any, list[str]],
) -> None:
    record = write_record(tmp_path, cells, {0: tiny.taxonomy.codes[0]})
    picture = tmp_path / "field.png"
    Image.fromarray(drawn[0][0]).save(picture)
    with pytest.raises(InputError, match="does not lie beside it; put it there"):
        read_taught(record, tiny.taxonomy)
    picture.unlink()
    with pytest.raises(InputError, match="does not lie beside it; put it there"):
        read_taught(record, tiny.taxonomy)


def test_a_record_that_names_no_class_is_refused(
    tmp_path: Path, tiny: Checkpoint, cells: Cells, write_record: Callable[..., Path]
) -> None:
    record = write_record(tmp_path, cells, {0: NOT_A_CELL})
    with pytest.raises(InputError, match="no verdict that names a class; review"):
        read_taught(record, tiny.taxonomy)


def test_a_record_that_is_none_or_not_there_is_refused(
    tmp_path: Path, tiny: Checkpoint
) -> None:
    path = tmp_path / "field.cytodino.sqlite"
    with pytest.raises(InputError, match="no record"):
        read_taught(path, tiny.taxonomy)
    path.write_bytes(b"nothing of the kind" * 99)
    with pytest.raises(InputError, match=r"field\.cytodino\.sqlite"):
        read_taught(path, tiny.taxonomy)


def test_an_unknown_class_is_refused(
    class_folders: Path, write_table: Callable[..., Path], tiny: Checkpoint
) -> None:
    (class_folders / tiny.taxonomy.codes[3]).rename(class_folders / "Blasts")
    with pytest.raises(InputError, match=r"Blasts is no class .* rename it"):
        read_taught(class_folders, tiny.taxonomy)
    table = write_table(["Blasts", *[tiny.taxonomy.codes[4]] * 3])
    with pytest.raises(InputError, match="'Blasts', the class of 1 cells"):
        read_taught(table, tiny.taxonomy)


def test_nothing_to_read_is_refused(tmp_path: Path, tiny: Checkpoint) -> None:
    with pytest.raises(InputError, match="holds no labelled cell"):
        read_taught(tmp_path, tiny.taxonomy)
    with pytest.raises(InputError, match="no data folder or table"):
        read_taught(tmp_path / "gone", tiny.taxonomy)


def test_cells_outside_their_image_are_refused(tmp_path: Path, smear: Smear) -> None:
    Image.fromarray(np.asarray(smear.image)).save(tmp_path / "field.png")
    files = tuple(
        CellFile("field.png", "x", place=place) for place in ((9.0, 9.0), (9.0, 9e5))
    )
    with pytest.raises(InputError, match=r"1 taught cells lie outside field\.png"):
        crops_of(TaughtCells(files, tmp_path))


def test_an_image_that_cannot_be_decoded_is_an_unreadable_crop(
    class_folders: Path, tiny: Checkpoint
) -> None:
    broken = sorted(class_folders.rglob("*.png"))[2]
    broken.write_bytes(b"no picture")
    [taught] = read_taught(class_folders, tiny.taxonomy)
    readable = np.concatenate([part.readable for part in taught.crops(FIELD, 4)])
    assert np.flatnonzero(~readable).tolist() == [2]
