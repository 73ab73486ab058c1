"""One image classified, from pixels to the table."""

import dask.array as da
import numpy as np
import torch

from napari_cytodino.cells.cells import cells_from_labels, cells_from_points
from napari_cytodino.cells.crops import CropStack
from napari_cytodino.inference.classification import ClassifyOptions, classify
from napari_cytodino.inference.classifier import Classifier

CPU = ClassifyOptions(device="cpu")


def test_nan_from_the_model_is_rejected_never_a_class(checkpoint, monkeypatch, image):
    classifier = Classifier(checkpoint, "cpu", 8)
    real = classifier._model.predict

    def embed(values):
        logits, *others = real(values)
        logits[0] = torch.nan
        return logits, *others

    monkeypatch.setattr(classifier._model, "predict", embed)
    cells = cells_from_points([[150, 200], [100, 90]], (300, 400), diameter=40)
    table = classify(image, cells, checkpoint, job=CPU, classifier=classifier)
    rejected = table["status"] == "rejected"
    assert rejected.sum() == 1
    assert table.loc[rejected, "cell_class"].tolist() == [""]
    assert table.loc[~rejected, "cell_class"].all()


def test_labels_in_table_out(checkpoint, image):
    labels = np.zeros((300, 400), np.int32)
    labels[100:140, 100:150], labels[200:240, 300:340] = 7, 3
    seen = []
    table = classify(
        image, labels, checkpoint, job=CPU, name="a", progress=lambda *p: seen.append(p)
    )
    assert table["label"].tolist() == cells_from_labels(labels).label.tolist() == [3, 7]
    assert seen == [(2, 2)]
    notes = table.attrs["provenance"]
    assert notes["synthetic"] is True
    assert notes["settings"]["field_of_view"] == 80.0
    assert table["checkpoint"][0] == f"tiny@{checkpoint.sha256[:12]}"


def test_ready_made_crops(checkpoint):
    rng = np.random.default_rng(1)
    stack = CropStack(rng.integers(0, 256, (5, 80, 80, 3), dtype=np.uint8))
    table = classify(stack, None, checkpoint, job=CPU)
    assert table["label"].tolist() == [1, 2, 3, 4, 5]


def test_field_of_view_changes_what_is_seen(checkpoint, image):
    cells = cells_from_points([[150, 200]], (300, 400), diameter=40)
    near = classify(image, cells, checkpoint, job=CPU)
    far = classify(image, cells, checkpoint, job=ClassifyOptions(200.0, "cpu"))
    assert near.filter(like="p_").to_numpy().tolist() != (
        far.filter(like="p_").to_numpy().tolist()
    )


# --- cells unlike the training cells ---------------------------------------------


def test_cells_unlike_all_training_cells_go_to_review(calibrated, image, points):
    loaded = calibrated(far=True)
    assert loaded.calibration is not None
    cells = cells_from_points(points, (300, 400), diameter=40)
    table = classify(image, cells, loaded, job=CPU)
    assert set(table["status"]) == {"review"}
    assert table["reason"].str.contains("as a whole are unlike the training").all()
    few = classify(image, cells.take(np.array([0])), loaded, job=CPU)
    assert few["reason"].str.startswith("unlike the training cells (").all()


def test_the_type_is_told_and_its_thresholds_are_used(checkpoint, image, points):
    cells = cells_from_points(points, (300, 400), diameter=40)
    plain = classify(image, cells, checkpoint, job=CPU)
    assert plain.attrs["provenance"]["settings"]["dtype"] == "float32"
    near = classify(
        image, cells, checkpoint, job=ClassifyOptions(device="cpu", dtype="bfloat16")
    )
    assert near.attrs["provenance"]["settings"]["dtype"] == "bfloat16"
    assert set(near["status"]) == {"review"}
    assert near["reason"].str.contains("no threshold is calibrated").all()
    numbers = [t.filter(like="p_").to_numpy(float) for t in (plain, near)]
    assert 0 < np.abs(numbers[0] - numbers[1]).max() < 0.05


def test_lazy_labels_are_never_whole_in_memory(checkpoint, image):
    seen = []

    def draw(block_info=None):
        place = block_info[None]["array-location"]
        seen.append(place)
        labels = np.zeros([stop - start for start, stop in place], np.int32)
        labels[10:40, 10:40] = 1 + place[0][0] + place[1][0]
        return labels

    lazy = da.map_blocks(draw, chunks=((100,) * 3, (100,) * 4), dtype=np.int32)
    seen.clear()
    table = classify(image, lazy, checkpoint, job=CPU)
    assert len(table) == 6
    assert sorted(map(str, seen)) == sorted({str(place) for place in seen})
    assert len(seen) == 12
