"""Duplicates: equal bytes or equal looks are one cluster, likeness is passed on."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from napari_cytodino.common.errors import InputError
from napari_cytodino.training.data.duplicates import (
    difference_hash,
    image_hashes,
    joined,
)

if TYPE_CHECKING:
    from pathlib import Path


def textured(seed: int) -> Image.Image:
    coarse = np.random.default_rng(seed).integers(0, 255, (9, 9, 3), np.uint8)
    return Image.fromarray(coarse).resize((36, 36), Image.Resampling.BICUBIC)


def test_difference_hash_tells_images_apart() -> None:
    assert difference_hash(textured(1)) == difference_hash(textured(1))
    assert difference_hash(textured(1)) != difference_hash(textured(2))


def test_difference_hash_is_known_for_a_ramp() -> None:
    ramp = Image.fromarray(np.tile(np.arange(9, dtype=np.uint8) * 20, (8, 1)))
    assert difference_hash(ramp) == "f" * 16
    assert difference_hash(ramp.transpose(Image.Transpose.FLIP_LEFT_RIGHT)) == "0" * 16


def test_fingerprint_knows_bytes_and_looks(tmp_path: Path) -> None:
    textured(1).save(tmp_path / "a.png")
    brighter = np.asarray(textured(1)).astype(int) + 1
    changed = Image.fromarray(brighter.clip(0, 255).astype(np.uint8))
    changed.save(tmp_path / "b.png")
    a, b = image_hashes(tmp_path / "a.png"), image_hashes(tmp_path / "b.png")
    content = (tmp_path / "a.png").read_bytes()
    assert a.sha256 == hashlib.sha256(content).hexdigest() != b.sha256
    assert a.looks == b.looks == difference_hash(textured(1))


def test_fingerprint_refuses_what_is_no_image(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_text("text", encoding="utf-8")
    with pytest.raises(InputError, match="cannot be read"):
        image_hashes(tmp_path / "a.jpg")


def test_likeness_is_passed_on() -> None:
    assert joined([["a"], ["b"], ["c"], ["b", "c"], []]) == [0, 1, 1, 1, 4]
    assert joined([]) == []


@given(st.lists(st.sets(st.integers(0, 12), max_size=3), max_size=20))
def test_numbers_are_the_connected_components(keys: list[set[int]]) -> None:
    found = joined([sorted(own) for own in keys])
    # Floyd and Warshall's closure, independent of the union
    reach = [
        [i == j or bool(a & b) for j, b in enumerate(keys)] for i, a in enumerate(keys)
    ]
    for k in range(len(keys)):
        for row in reach:
            if row[k]:
                row[:] = [x or y for x, y in zip(row, reach[k], strict=True)]
    assert found == [row.index(True) for row in reach]
