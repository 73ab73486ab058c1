"""Classify cells of your own segmentation, and ready-made single-cell pictures."""

import numpy as np

from napari_cytodino import classify, load_checkpoint
from napari_cytodino.cells.crops import CropStack
from napari_cytodino.synthetic.smear import synthetic_crops, synthetic_smear

checkpoint = load_checkpoint("demo")

smear = synthetic_smear((900, 1200), n_cells=8, seed=4)
by_label = classify(smear.image, smear.labels, checkpoint).set_index("label")
print(by_label[["cell_class", "confidence"]].assign(drawn=list(smear.codes)))

crops, codes = synthetic_crops(checkpoint.taxonomy.codes[:5], 2, seed=5)
table = classify(CropStack(crops), None, checkpoint)
right = np.mean(table["cell_class"].to_numpy() == np.array(codes))
print(f"{len(table)} SYNTHETIC crops, {right:.0%} as drawn")
