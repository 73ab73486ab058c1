"""Inspection: damaged images are listed and left out, too many stop the run."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from napari_cytodino.common.errors import InputError
from napari_cytodino.training.data import inspection
from napari_cytodino.training.data.crops import CellFile
from napari_cytodino.training.data.inspection import UNREADABLE_LIMIT, inspect_files

if TYPE_CHECKING:
    from pathlib import Path


def photo(path: Path, seed: int = 0) -> CellFile:
    rng = np.random.default_rng(seed)
    pixels = rng.integers(0, 255, (64, 64, 3), np.uint8)
    Image.fromarray(pixels).save(path, quality=90)
    return CellFile(path.name, "aa")


def tear(path: Path) -> CellFile:
    """Cut the end off an image, as a broken download does."""
    photo(path)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) * 2 // 3])
    return CellFile(path.name, "aa")


def test_good_images_stay_in_order(tmp_path: Path) -> None:
    files = [photo(tmp_path / f"{n}.png", n) for n in (3, 1, 2)]
    found = inspect_files(tmp_path, files)
    assert found.files == tuple(files)
    assert not found.unreadable
    assert set(found.prints) == {"1.png", "2.png", "3.png"}
    assert len({p.sha256 for p in found.prints.values()}) == 3


@pytest.mark.parametrize("name", ["torn.jpg", "torn.webp", "torn.png"])
def test_a_torn_image_is_left_out(tmp_path: Path, name: str) -> None:
    files = [photo(tmp_path / "good.png"), tear(tmp_path / name)]
    found = inspect_files(tmp_path, files, limit=0.5)
    assert found.files == (files[0],)
    assert [lost.path for lost in found.unreadable] == [name]
    assert "cannot be read" in found.unreadable[0].why
    assert name not in found.prints


@pytest.mark.parametrize("content", [b"", b"not an image", b"\x89PNG\r\n\x1a\n rest"])
def test_what_only_looks_like_an_image_is_left_out(
    tmp_path: Path, content: bytes
) -> None:
    (tmp_path / "text.jpg").write_bytes(content)
    files = [photo(tmp_path / "good.png"), CellFile("text.jpg", "aa")]
    assert inspect_files(tmp_path, files, limit=0.5).files == (files[0],)


def test_a_missing_image_is_left_out(tmp_path: Path) -> None:
    files = [photo(tmp_path / "good.png"), CellFile("gone.png", "aa")]
    found = inspect_files(tmp_path, files, limit=0.5)
    assert found.unreadable[0].path == "gone.png"
    assert "There is no image" in found.unreadable[0].why


def test_one_in_a_thousand_is_borne_two_are_not(tmp_path: Path) -> None:
    assert UNREADABLE_LIMIT == 0.001
    content = (tmp_path / photo(tmp_path / "0.png").path).read_bytes()
    for n in range(1000):
        (tmp_path / f"{n}.png").write_bytes(content)
    files = [CellFile(f"{n}.png", "aa") for n in range(1000)]
    (tmp_path / "500.png").write_bytes(b"")
    assert len(inspect_files(tmp_path, files).files) == 999
    (tmp_path / "7.png").write_bytes(b"")
    with pytest.raises(
        InputError, match=r"2 of 1000 images .* first is 7\.png .*0\.1%"
    ):
        inspect_files(tmp_path, files)


def test_an_image_of_several_cells_is_read_once(tmp_path: Path) -> None:
    field = photo(tmp_path / "field.png").path
    files = [CellFile(field, "aa", place=(y, 9.0)) for y in (5.0, 20.0)]
    told: list[tuple[int, int]] = []
    found = inspect_files(
        tmp_path, files, progress=lambda done, total: told.append((done, total))
    )
    assert found.files == tuple(files)
    assert told == [(1, 1)]


def test_any_fault_of_a_decoder_is_a_reason_but_no_interrupt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = [CellFile("a.png", "aa")]

    def fails(error: BaseException) -> None:
        def decode(_path: Path) -> None:
            raise error

        monkeypatch.setattr(inspection, "image_hashes", decode)

    fails(IndexError("deep in a decoder"))
    found = inspect_files(tmp_path, files, limit=1.0)
    assert found.unreadable[0].why == "deep in a decoder"
    fails(KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        inspect_files(tmp_path, files, limit=1.0)
