"""Beside the image where that works, else with the user, and always said aloud."""

import sys
from pathlib import Path

import pytest

from napari_cytodino.review import location
from napari_cytodino.review.location import SUFFIX, case_place, own_folder
from napari_cytodino.review.log import ReviewLog

PRINT = "0123456789abcdef" * 4


@pytest.fixture
def own(tmp_path):
    """Return a folder for the user's own cases, not made yet."""
    return tmp_path / "own"


def place(image, own, fingerprint=PRINT):
    return case_place(image, fingerprint, folder=own)


def begin(path, fingerprint=PRINT):
    ReviewLog.open(path, image=fingerprint).close()


def test_beside_the_image_without_a_word(tmp_path, own):
    found = place(tmp_path / "smear 1.ome.tif", own)
    assert found.path == tmp_path / "smear 1.ome.cytodino.sqlite"
    assert (found.why, found.exists) == ("", False)
    assert list(tmp_path.iterdir()) == []
    begin(found.path)
    again = place(str(tmp_path / "smear 1.ome.tif"), own)
    assert (again.path, again.why, again.exists) == (found.path, "", True)


def test_an_image_without_a_file_goes_to_the_user(own):
    found = place(None, own)
    assert found.path.parent == own
    assert found.path.name == PRINT[:32] + SUFFIX
    assert "has no file" in found.why
    assert str(found.path) in found.why


def test_two_images_of_one_stem_keep_apart(tmp_path, own):
    first = place(tmp_path / "a.png", own)
    begin(first.path)
    other = "f" * 64
    second = place(tmp_path / "a.tif", own, other)
    assert second.path == tmp_path / f"a-ffffffff{SUFFIX}"
    assert f"a{SUFFIX} is the review of another image" in second.why
    begin(second.path, other)
    assert place(tmp_path / "a.tif", own, other).exists
    assert place(tmp_path / "a.png", own).path == first.path


@pytest.mark.skipif(sys.platform != "linux", reason="/proc refuses even root")
def test_a_folder_that_cannot_be_written_is_said_aloud(own):
    found = place(Path("/proc/slide.tif"), own)
    assert found.path.parent == own
    assert found.why.startswith("/proc cannot be written (")
    assert str(found.path) in found.why


def test_a_path_that_is_no_folder_goes_to_the_user(tmp_path, own):
    assert place(tmp_path / "gone" / "slide.tif", own).path.parent == own
    assert list(tmp_path.iterdir()) == []


def test_a_network_folder_is_said_aloud_even_with_a_review_in_it(
    tmp_path, own, monkeypatch
):
    begin(place(tmp_path / "a.png", own).path)
    monkeypatch.setattr(location, "on_network", lambda folder: folder == tmp_path)
    found = place(tmp_path / "a.png", own)
    assert found.path.parent == own
    assert "is a network folder" in found.why


def test_a_review_begun_with_the_user_is_gone_on_with(tmp_path, own):
    begin(place(None, own).path)
    found = place(tmp_path / "a.png", own)
    assert found.path.parent == own
    assert "was begun in" in found.why


def test_of_two_the_one_beside_counts_and_the_other_is_named(tmp_path, own):
    begin(tmp_path / f"a{SUFFIX}")
    begin(place(None, own).path)
    found = place(tmp_path / "a.png", own)
    assert found.path.parent == tmp_path
    assert str(own) in found.why


def test_a_damaged_record_is_not_passed_over(tmp_path, own):
    path = tmp_path / f"a{SUFFIX}"
    path.write_bytes(b"broken" * 1000)
    assert place(tmp_path / "a.png", own).path == path


def test_the_user_has_a_folder():
    assert own_folder().is_absolute()
    assert "napari-cytodino" in own_folder().parts
