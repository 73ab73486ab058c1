"""What a batch reads: images, labels, points and folders of crops."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from napari_cytodino.batch.images import process_crops, process_image
from napari_cytodino.batch.inputs import (
    ImageTask,
    list_images,
    pair_images,
    read_labels,
    read_points,
    result_names,
    shard,
)
from napari_cytodino.checkpoints.checkpoint import load_checkpoint
from napari_cytodino.common.errors import InputError
from napari_cytodino.inference.classification import ClassifyOptions
from napari_cytodino.inference.classifier import Classifier
from napari_cytodino.synthetic.smear import synthetic_smear

JOB = ClassifyOptions(device="cpu")


@pytest.fixture(scope="module")
def classifier(tiny_checkpoint):
    return Classifier(load_checkpoint(str(tiny_checkpoint)), "cpu")


@pytest.fixture(scope="module")
def smear():
    return synthetic_smear((700, 900), 5, seed=1)


@pytest.fixture
def picture(tmp_path, smear):
    path = tmp_path / "in" / "smear.png"
    path.parent.mkdir()
    Image.fromarray(smear.image).save(path)
    return path


def test_labels_points_or_found(tmp_path, picture, smear, classifier):
    labels = tmp_path / "labels.tif"
    tifffile.imwrite(labels, smear.labels)
    points = tmp_path / "points.csv"
    pd.DataFrame(smear.centres, columns=["y", "x"]).to_csv(points)
    counts = {}
    for name, task in {
        "labels": ImageTask(picture, labels=labels),
        "points": ImageTask(picture, points=points),
        "found": ImageTask(picture),
    }.items():
        out = tmp_path / name
        table = process_image(task, classifier, out, stem="s", job=JOB)
        assert {p.name for p in out.iterdir()} == {
            "s.cells.csv", "s.cells.provenance.json", "s.differential.csv",
            "s.overlay.png",
        }  # fmt: skip
        counts[name] = len(table)
        assert set(table.attrs["files"]) == {p.name for p in out.iterdir()}
        notes = json.loads((out / "s.cells.provenance.json").read_text())
        assert notes["image"] == "smear.png"
    assert counts["labels"] == counts["points"] == 5
    assert 3 <= counts["found"] <= 7


def test_an_image_without_cells_writes_nothing(tmp_path, classifier):
    path = tmp_path / "blank.png"
    Image.new("RGB", (200, 200), "white").save(path)
    out = tmp_path / "out"
    table = process_image(ImageTask(path), classifier, out, stem="b", job=JOB)
    assert table.empty
    assert not out.exists()


def test_a_bad_format_leaves_nothing_half_written(tmp_path, picture, classifier):
    out = tmp_path / "out"
    with pytest.raises(InputError):
        process_image(
            ImageTask(picture), classifier, out, stem="s", job=JOB, formats=("xyz",)
        )
    assert not out.exists() or list(out.iterdir()) == []


def test_the_differential_file_says_where_it_is_from(tmp_path, picture, classifier):
    process_image(ImageTask(picture), classifier, tmp_path / "o", stem="s", job=JOB)
    counts = pd.read_csv(tmp_path / "o" / "s.differential.csv")
    assert len(counts) == 21
    assert counts["checkpoint"].str.startswith("tiny@").all()
    assert counts["notice"].str.contains("research use only").all()


def test_crops_in_folders(tmp_path, classifier):
    folder = tmp_path / "cells"
    for name in ("NGS/one.png", "BLA/two.png", ".hidden.png"):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (90, 90), "purple").save(path)
    (folder / "BLA" / "broken.jpg").write_bytes(b"no picture")
    table = process_crops(
        list_images([folder]), classifier, tmp_path / "out", folders=[folder], job=JOB
    )
    assert table["image"].tolist() == ["BLA/broken.jpg", "BLA/two.png", "NGS/one.png"]
    assert table["status"].tolist()[0] == "rejected"
    assert (table["status"] == "rejected").sum() == 1
    written = pd.read_csv(tmp_path / "out" / "cells.csv")
    assert written["image"].tolist() == table["image"].tolist()


def test_listing(tmp_path):
    for name in ("b.png", "a.TIF", "sub/c.jpg", "notes.txt"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"")
    names = [p.name for p in list_images([tmp_path])]
    assert sorted(names) == ["a.TIF", "b.png", "c.jpg"]
    with pytest.raises(InputError, match="no image or folder"):
        list_images([tmp_path / "gone"])
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="No image found"):
        list_images([tmp_path / "empty"])


def test_patterns_and_each_image_once(tmp_path, monkeypatch):
    names = ("a/1.png", "a/b/2.tif", "a/b/3.tif", "a/.4.tif", "a/notes.txt", "[5].png")
    for name in names:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
    monkeypatch.chdir(tmp_path)

    def found(*patterns):
        return [p.as_posix() for p in list_images([Path(p) for p in patterns])]

    assert found("a/**/*.tif") == ["a/b/2.tif", "a/b/3.tif"]
    assert found("a/*") == ["a/1.png", "a/b/2.tif", "a/b/3.tif"]
    assert found("**/[23].*", "a", "./a/b/../1.png") == [
        "a/b/2.tif", "a/b/3.tif", "a/1.png",
    ]  # fmt: skip
    # a file of this name is no pattern
    assert found("[5].png") == ["[5].png"]
    assert list_images([tmp_path / "*" / "?.png"]) == [tmp_path / "a" / "1.png"]
    with pytest.raises(InputError, match=r"No image found in a/\*\.jpg"):
        list_images([Path("a/*.jpg")])


def test_our_own_pictures_are_no_images(tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    for path in (tmp_path / "x.png", out / "x.overlay.png", tmp_path / "y.overlay.png"):
        path.write_bytes(b"")
    names = [p.name for p in list_images([tmp_path, tmp_path / "*"], out)]
    assert names == ["x.png", "y.overlay.png"]
    assert list_images([out / "x.overlay.png"], out)
    assert len(list_images([tmp_path])) == 3


@given(st.sets(st.sampled_from("aAbB"), min_size=1), st.integers(2, 4))
def test_shards_name_results_as_the_whole_does(letters, n):
    images = [Path(f"{x}/{x}.{suffix}") for x in letters for suffix in ("png", "tif")]
    tasks, whole = [ImageTask(image) for image in images], result_names(images)
    assert len({name.casefold() for name in whole.values()}) == len(images)
    for i in range(1, n + 1):
        part = [task.image for task in shard(tasks, f"{i}/{n}")]
        assert result_names(part) == {image: whole[image] for image in part}


@given(st.sets(st.text("abc", min_size=1, max_size=6), max_size=20), st.integers(1, 5))
def test_shards_are_a_partition(names, n):
    tasks = [ImageTask(Path(f"{name}.png")) for name in sorted(names)]
    parts = [shard(tasks, f"{i}/{n}") for i in range(1, n + 1)]
    assert {t.image for part in parts for t in part} == {t.image for t in tasks}
    assert sum(map(len, parts)) == len(tasks)
    backwards = [shard(tasks[::-1], f"{i}/{n}") for i in range(1, n + 1)]
    assert [set(part) for part in backwards] == [set(part) for part in parts]


@pytest.mark.parametrize("part", ["0/3", "4/3", "1", "a/b", "1/0", "-1/2"])
def test_bad_shards(part):
    with pytest.raises(InputError, match="names no shard"):
        shard([], part)


def test_stems_are_unique(tmp_path):
    images = [tmp_path / "a" / "x.png", tmp_path / "b" / "x.png", tmp_path / "y.png"]
    names = result_names(images)
    assert len(set(names.values())) == 3
    assert names[images[2]] == "y"


def test_labels_from_files(tmp_path):
    labels = np.arange(12, dtype=np.uint16).reshape(3, 4)
    np.save(tmp_path / "l.npy", labels)
    tifffile.imwrite(tmp_path / "l.tif", labels)
    Image.fromarray(labels).save(tmp_path / "l.png")
    for name in ("l.npy", "l.tif", "l.png"):
        np.testing.assert_array_equal(read_labels(tmp_path / name, (3, 4)), labels)
    with pytest.raises(InputError, match=r"has shape \(3, 4\)"):
        read_labels(tmp_path / "l.npy", (4, 3))
    with pytest.raises(InputError, match="no label image"):
        read_labels(tmp_path / "gone.tif", (3, 4))


def test_a_pickle_is_never_loaded(tmp_path):
    path = tmp_path / "l.npy"
    np.save(path, np.array([{"a": 1}], object), allow_pickle=True)
    with pytest.raises(InputError, match="cannot be read as labels"):
        read_labels(path, (3, 4))


def test_every_cut_and_every_wrong_byte_of_labels_is_told(tmp_path):
    labels = np.arange(12, dtype=np.uint16).reshape(3, 4)
    np.save(tmp_path / "l.npy", labels)
    Image.fromarray(labels).save(tmp_path / "l.png")
    for name in ("l.npy", "l.png"):
        path = tmp_path / name
        whole = path.read_bytes()
        refused = 0
        damaged = [whole[:n] for n in range(len(whole))]
        damaged += [whole[:n] + b"\x7f" + whole[n + 1 :] for n in range(len(whole))]
        for content in damaged:
            path.write_bytes(content)
            try:
                read_labels(path, (3, 4))
            except InputError:
                refused += 1
        assert refused > len(whole)


def test_labels_that_ask_for_all_memory_are_told(tmp_path):
    path = tmp_path / "l.npy"
    np.save(path, np.zeros((111111, 1), np.uint16))
    whole = path.read_bytes()
    path.write_bytes(whole[:4096].replace(b"(111111, 1)", b"(1<<40, 1) "))
    with pytest.raises(InputError, match="cannot be read as labels"):
        read_labels(path, (3, 4))
    path.write_bytes(whole[:4096].replace(b"(111111, 1), ", b"(9999999999,)"))
    with pytest.raises(InputError, match="cannot be read as labels"):
        read_labels(path, (3, 4))


def test_labels_are_not_tied_to_their_file(tmp_path):
    path = tmp_path / "l.npy"
    np.save(path, np.ones((3, 4), np.uint16))
    labels = read_labels(path, (3, 4))
    np.save(path, np.zeros((3, 4), np.uint16))
    assert labels.all()
    labels[0] = 2


def test_points_that_are_no_numbers_are_told_by_their_line(tmp_path):
    path = tmp_path / "p.csv"
    path.write_text(
        "image,y,x\n\na.png,1,2\n,,\nb.png,?,4\na.png,oops,5\na.png,6,inf\n"
    )
    with pytest.raises(InputError, match="line 6 and 1 more; correct or delete it"):
        read_points(path, tmp_path / "a.png")
    with pytest.raises(InputError, match="as y or x in line 5; correct"):
        read_points(path, tmp_path / "b.png")
    path.write_text("y,x\n1,2,3\n")
    with pytest.raises(InputError, match="more values in a line"):
        read_points(path, tmp_path / "a.png")


def test_points_from_csv(tmp_path):
    path = tmp_path / "p.csv"
    path.write_text("image,y,x\na.png,1,2\nb.png,3,4\n\n,,\n")
    assert read_points(path, tmp_path / "a.png").tolist() == [[1, 2]]
    path.write_text("row,column\n1,2\n")
    with pytest.raises(InputError, match="y and x are needed"):
        read_points(path, tmp_path / "a.png")


def test_pairs():
    images = [Path("a.png"), Path("b.png")]
    tasks = pair_images(images, [Path("1.tif"), Path("2.tif")])
    assert [(t.image.name, t.labels.name) for t in tasks] == [
        ("a.png", "1.tif"),
        ("b.png", "2.tif"),
    ]
    assert [t.labels for t in pair_images(images, [])] == [None, None]
    with pytest.raises(InputError, match="1 label images for 2 images"):
        pair_images(images, [Path("1.tif")])
