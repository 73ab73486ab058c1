"""Colours follow the taxonomy, and no cell is left without one."""

import numpy as np
import pandas as pd
import pytest

from napari_cytodino.common.errors import InputError
from napari_cytodino.results.colours import (
    MODES,
    NONE,
    class_colours,
    colour_keys,
    lineage_colours,
    palette,
    rgba,
)
from napari_cytodino.taxonomy.taxonomy import Taxonomy

TAXONOMY = Taxonomy.load("mll21")
TABLE = pd.DataFrame(
    {
        "reviewed_class": ["", "", ""],
        "final_class": ["BLA", "", "NGS"],
        "lineage": ["granulocytic", "lymphoid", "granulocytic"],
        "confidence": [0.0, np.nan, 1.0],
        "status": ["review", "rejected", "auto"],
    }
)


def test_a_corrected_cell_has_the_lineage_of_its_verdict():
    said = TABLE.assign(
        reviewed_class=["LYT", "not_a_cell", ""], final_class=["LYT", "", "NGS"]
    )
    found = colour_keys(said, "lineage", TAXONOMY).tolist()
    assert found == ["lymphoid", "", "granulocytic"]


def test_hex():
    assert rgba("#FF8000") == (1.0, 128 / 255, 0.0, 1.0)


def test_class_colours_are_the_palette_of_the_taxonomy():
    colours = class_colours(TAXONOMY)
    assert colours["BLA"] == rgba("#E73907")
    assert len(set(colours.values())) == 21
    assert len(set(lineage_colours(TAXONOMY).values())) == 8


@pytest.mark.parametrize("mode", MODES)
def test_every_key_has_a_colour(mode):
    known = palette(TAXONOMY, mode)
    assert set(colour_keys(TABLE, mode, TAXONOMY)) - {""} <= set(known)
    colours = np.array(list(known.values()))
    assert len(known) <= 21
    assert ((colours >= 0) & (colours <= 1)).all()


def test_no_class_has_no_key_and_grey_is_no_colour_of_a_class():
    keys = colour_keys(TABLE, "class", TAXONOMY)
    known = palette(TAXONOMY, "class")
    assert known[keys[0]] == rgba("#E73907")
    assert keys[1] == ""
    assert NONE not in known.values()


def test_confidence_grows_lighter():
    ramp = np.array(list(palette(TAXONOMY, "confidence").values()))
    lightness = ramp[:, :3] @ [0.2126, 0.7152, 0.0722]
    assert (np.diff(lightness) > 0).all()


def test_unknown_mode():
    with pytest.raises(InputError, match="'size' is no colour mode"):
        palette(TAXONOMY, "size")
    with pytest.raises(InputError, match="'size' is no colour mode"):
        colour_keys(TABLE, "size", TAXONOMY)
