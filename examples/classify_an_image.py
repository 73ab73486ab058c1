"""Find the cells of a picture, classify them, count them and save the table."""

from pathlib import Path
from tempfile import mkdtemp

from napari_cytodino import classify, differential, export, find_cells, load_checkpoint
from napari_cytodino.synthetic.smear import synthetic_smear

image = synthetic_smear((900, 1200), n_cells=12, seed=3).image  # any (H, W, 3) uint8
checkpoint = load_checkpoint("demo")  # SYNTHETIC; "starter" knows real cells
labels = find_cells(image)
table = classify(image, labels, checkpoint)

counts = differential(table)
print(counts.loc[counts["count"] > 0, ["name", "count", "percent", "low", "high"]])
print(table[["label", "final_class", "confidence", "status", "reason"]])

out = Path(mkdtemp())
for name in ("cells.csv", "cells.geojson"):
    print("written:", export(table, out / name))
