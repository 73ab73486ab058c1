"""The overlay picture shows each cell, and doubts by shape and text."""

import json

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from napari_cytodino.exports.overlay import MAX_SIDE, draw_overlay, write_overlay
from napari_cytodino.images.source import ImageSource
from napari_cytodino.taxonomy.taxonomy import Taxonomy

GREY = np.full((120, 160, 3), 200, np.uint8)
BOX = np.array([[30, 40, 90, 100]], float)


def one(status, code="BLA"):
    table = pd.DataFrame(
        {"status": [status], "final_class": [code], "cell_class": [code]}
    )
    table.attrs["taxonomy"] = Taxonomy.load("mll21").to_dict()
    table.attrs["provenance"] = {"checkpoint": "demo"}
    return table


def drawn(status, code="BLA"):
    return np.asarray(draw_overlay(ImageSource(GREY), one(status, code), BOX))


def test_an_accepted_cell_has_a_closed_frame_in_its_colour():
    picture = drawn("auto")
    edge = picture[89:92, 45:95].astype(int)
    red = np.abs(edge - [0xE7, 0x39, 0x07]).sum(axis=2).min(axis=0)
    assert (red < 10).all()


def test_a_doubtful_cell_has_a_broken_frame():
    edge = drawn("review")[89:92, 45:95].astype(int)
    red = np.abs(edge - [0xE7, 0x39, 0x07]).sum(axis=2).min(axis=0)
    assert 0.3 < (red < 10).mean() < 0.8


def test_the_inside_of_a_cell_stays_as_it_is():
    np.testing.assert_array_equal(drawn("auto")[50:80, 60:90], GREY[50:80, 60:90])


@pytest.mark.parametrize("status", ["auto", "review", "rejected", "lineage_only"])
def test_a_cell_without_a_class_is_drawn_too(status):
    assert (drawn(status, "") != GREY).any()


def test_large_images_are_drawn_smaller():
    source = ImageSource(np.zeros((3000, 2 * MAX_SIDE, 3), np.uint8))
    picture = draw_overlay(source, one("auto"), BOX)
    assert picture.size == (MAX_SIDE, 1500)


def test_the_file_says_how_it_was_made(tmp_path):
    path = tmp_path / "o.png"
    write_overlay(path, ImageSource(GREY), one("auto"), BOX)
    with Image.open(path) as picture:
        assert json.loads(picture.info["provenance"]) == {"checkpoint": "demo"}
