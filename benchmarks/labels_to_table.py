"""Measure label image in, table out: ``python benchmarks/labels_to_table.py``."""

from __future__ import annotations

import argparse
import copy
import json
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from inference import SHAPES, adapted_model, flops, matrix_rate, stored
from skimage.measure import regionprops

from napari_cytodino.inference.classification import classify
from napari_cytodino.inference.classifier import Classifier, preprocess
from napari_cytodino.synthetic.smear import synthetic_smear

PROTOCOL = """\
Protocol
  A drawn smear of {shape[0]} x {shape[1]} px, {cells} labelled cells, {model} + head at
  256 px on random weights, {name}; label image in, table out, {rounds} rounds,
  alternating. The model is loaded before the clock starts.
  published  as domain.md 1.3 describes the published code: regionprops, one crop, one
             resize and one forward pass a cell, float32, adapters not merged.
             Its rate is that of its first {few} cells.
  plugin     `classify(image, labels, classifier=...)`, {dtype}.
"""


def published(
    image: np.ndarray, labels: np.ndarray, adapted: Any, checkpoint: Any, device: str
) -> pd.DataFrame:
    """Classify cell by cell, as someone would who follows the published code."""
    rows = []
    half = int(checkpoint.preprocessing.field_of_view) // 2
    padded = np.pad(image, ((half, half), (half, half), (0, 0)), "symmetric")
    for region in regionprops(labels):
        y, x = (round(v) for v in region.centroid)
        crop = np.ascontiguousarray(padded[y : y + 2 * half, x : x + 2 * half])
        with torch.no_grad():
            logits, _ = adapted.predict(preprocess(crop[None], checkpoint, device))
        best = int(logits.argmax())
        rows.append((region.label, checkpoint.taxonomy.codes[best]))
    return pd.DataFrame(rows, columns=["label", "cell_class"])


def main() -> None:
    """Print protocol, rates, ratio and the share of the matrix rate."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shape", choices=SHAPES, default="ViT-S/16")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--cells", type=int, default=60)
    parser.add_argument("--few", type=int, default=16)
    parser.add_argument("--side", type=int, default=1600)
    parser.add_argument("--dtype", default="bfloat16")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    smear = synthetic_smear((given.side, given.side), given.cells, seed=0)
    cuda = given.device == "cuda"
    name = torch.cuda.get_device_name() if cuda else "CPU"
    print(
        PROTOCOL.format(
            shape=smear.labels.shape,
            cells=int(smear.labels.max()),
            model=given.shape,
            name=name,
            rounds=given.rounds,
            few=given.few,
            dtype=given.dtype,
        )
    )
    adapted = adapted_model(given.shape).requires_grad_(False)
    with tempfile.TemporaryDirectory() as folder:
        checkpoint = stored(copy.deepcopy(adapted), Path(folder) / "random")
        figures = measured(given, smear, adapted.to(given.device), checkpoint)
    if given.json:
        given.json.write_text(json.dumps(figures, indent=1), encoding="utf-8")


def measured(
    given: argparse.Namespace, smear: Any, adapted: Any, checkpoint: Any
) -> dict[str, float]:
    """Run both ways in turn and print what they reach."""
    few = np.where(smear.labels <= given.few, smear.labels, 0)
    ready = Classifier(checkpoint, given.device, dtype=given.dtype)
    classify(smear.image, few, classifier=ready, checkpoint=checkpoint)
    rates: dict[str, list[float]] = {"published": [], "plugin": []}
    for _ in range(given.rounds):
        start = time.perf_counter()
        table = published(smear.image, few, adapted, checkpoint, given.device)
        rates["published"].append(len(table) / (time.perf_counter() - start))
        start = time.perf_counter()
        table = classify(smear.image, smear.labels, checkpoint, classifier=ready)
        rates["plugin"].append(len(table) / (time.perf_counter() - start))
    ratio = float(np.median(np.array(rates["plugin"]) / np.array(rates["published"])))
    for way, each in rates.items():
        print(f"{way:10} {np.median(each):8.2f} cells/s")
    one = preprocess(np.zeros((1, 256, 256, 3), np.uint8), checkpoint, given.device)
    plain = Classifier(checkpoint, given.device, dtype="float32")
    work = flops(lambda: plain._model.predict(one))
    kind = getattr(torch, given.dtype)
    peak = matrix_rate(kind, given.device, 8192 if given.device == "cuda" else 2048)
    share = float(np.median(rates["plugin"])) * work / peak
    print(f"ratio: {ratio:.2f}; {share:.0%} of the measured {given.dtype} matrix rate")
    return {
        "labels to table, x": ratio,
        "labels to table, share of the matrix rate": share,
        **{
            f"labels to table, {k}, cells/s": float(np.median(v))
            for k, v in rates.items()
        },
    }


if __name__ == "__main__":
    main()
