"""The morphology table: complete, well formed, and strict about its keys."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from napari_cytodino.common.errors import InputError
from napari_cytodino.synthetic._morphology import (
    Morphology,
    morphologies,
    optical_density,
    parse_morphologies,
    sample,
    sample_count,
)
from napari_cytodino.taxonomy.taxonomy import Taxonomy

MINIMAL = {
    "name": "plain",
    "diameter": 40,
    "cytoplasm": {"colour": "#FFFFFF", "edge": "#EEEEEE"},
    "nucleus": {"colour": "#000000", "lobe_radius": [0.2, 0.4]},
}


def test_every_class_of_the_taxonomy_can_be_drawn() -> None:
    assert sorted(kind.code for kind in morphologies()) == sorted(
        Taxonomy.load("mll21").codes
    )


@pytest.mark.parametrize("kind", morphologies(), ids=lambda kind: kind.code)
def test_ranges_run_upwards_and_colours_are_colours(kind: Morphology) -> None:
    parts = [kind, kind.cytoplasm, kind.nucleus, *kind.granules]
    for part in parts:
        for field in dataclasses.fields(part):
            value = getattr(part, field.name)
            if "colour" in field.name or field.name == "edge":
                assert optical_density(value).shape == (3,)
            elif isinstance(value, tuple) and field.name != "granules":
                low, high = value
                assert low <= high, (kind.code, field.name)


def test_codes_come_back_in_the_order_asked() -> None:
    assert [kind.code for kind in morphologies(["NGS", "BLA"])] == ["NGS", "BLA"]


def test_an_unknown_code_is_named_with_the_choice() -> None:
    with pytest.raises(InputError, match=r"'XYZ'.*choose from .*BLA"):
        morphologies(["BLA", "XYZ"])


def test_no_code_at_all_is_an_error() -> None:
    with pytest.raises(InputError, match="codes is empty"):
        morphologies([])


def test_numbers_become_ranges() -> None:
    kind = parse_morphologies({"AAA": MINIMAL})["AAA"]
    assert kind.diameter == (40, 40)
    assert kind.nucleus.lobe_radius == (0.2, 0.4)
    assert kind.granules == ()


@pytest.mark.parametrize("part", [None, "cytoplasm", "nucleus"])
def test_an_unknown_key_is_named_with_its_place(part: str | None) -> None:
    table = {**MINIMAL}
    if part is None:
        table["wings"] = 2
    else:
        table[part] = {**MINIMAL[part], "wings": 2}
    where = "wings" if part is None else f"{part}.wings"
    with pytest.raises(InputError, match=rf"\[AAA\]: '{where}' is an unknown field"):
        parse_morphologies({"AAA": table})


def test_absorbance_gives_the_colour_back() -> None:
    seen = 256 * np.exp(-optical_density("#8040C0")) - 1
    np.testing.assert_allclose(seen, [0x80, 0x40, 0xC0], atol=0.01)
    np.testing.assert_allclose(optical_density("#FFFFFF"), 0, atol=1e-6)


def test_samples_fill_their_range() -> None:
    rng = np.random.default_rng(0)
    values = [sample(rng, (2.0, 3.0)) for _ in range(200)]
    assert 2 <= min(values) < 2.1
    assert 2.9 < max(values) <= 3
    assert {sample_count(rng, (1, 4)) for _ in range(200)} == {1, 2, 3, 4}
    assert sample_count(rng, (5, 5)) == 5
