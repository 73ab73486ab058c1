"""Crops span the same micrometres whatever the image's pixels are."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_cytodino.checkpoints.folder import Preprocessing
from napari_cytodino.common.errors import InputError
from napari_cytodino.finding.sizes import PixelSize
from napari_cytodino.inference.scale import read_field_of_view, side_of_crops

MEAN = (0.5, 0.5, 0.5)
OWN = Preprocessing(160, 192.0, MEAN, MEAN, 0.1)
UNKNOWN = Preprocessing(160, 192.0, MEAN, MEAN)


def given_size(microns):
    return PixelSize(microns, microns, microns)


@given(st.floats(0.03, 1.5))
def test_a_crop_spans_the_same_micrometres_at_any_scale(microns):
    side = side_of_crops(OWN, given_size(microns))
    assert side * microns == pytest.approx(19.2, abs=0.51 * microns)


def test_without_a_scale_on_either_side_it_is_the_checkpoints():
    assert side_of_crops(OWN) == 192
    assert side_of_crops(UNKNOWN, given_size(0.3)) == 192


def test_what_the_user_gives_is_taken():
    assert side_of_crops(OWN, given_size(0.2), field_of_view=50) == 50
    assert side_of_crops(OWN, given_size(0.2), field_microns=20) == 100


def test_an_estimate_that_allows_the_checkpoints_scale_changes_nothing():
    near = PixelSize(0.12, 0.09, 0.15, "estimated")
    assert side_of_crops(OWN, near) == 192
    sure = PixelSize(0.12, 0.115, 0.125, "estimated", 40)
    assert side_of_crops(OWN, sure) == 160


@pytest.mark.parametrize("side", [-3.0, 0.0, float("nan"), 1e9])
def test_a_side_out_of_range_is_refused(side):
    for words in ({"field_of_view": side}, {"field_microns": side}):
        with pytest.raises(InputError, match="out of 8 to 4096"):
            side_of_crops(OWN, given_size(0.2), **words)


def test_micrometres_need_a_scale():
    with pytest.raises(InputError, match="--pixel-size"):
        side_of_crops(OWN, field_microns=20)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (None, (None, None)),
        ("192", (192.0, None)),
        ("96 px", (96.0, None)),
        ("19.2um", (None, 19.2)),
        ("19.2 µm", (None, 19.2)),
    ],
)
def test_a_field_of_view_is_read(text, found):
    assert read_field_of_view(text) == found


@pytest.mark.parametrize("text", ["", "wide", "1.2.3um", "5 mm", "um"])
def test_what_is_no_field_of_view_is_named(text):
    with pytest.raises(InputError, match=r"19\.2um"):
        read_field_of_view(text)
