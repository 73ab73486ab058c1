"""Classify a folder of images into files, stop at any time, and go on."""

from pathlib import Path
from tempfile import mkdtemp

from PIL import Image

from napari_cytodino.batch.inputs import list_images, pair_images
from napari_cytodino.batch.record import digest
from napari_cytodino.batch.run import BatchRun, process_all
from napari_cytodino.inference.classification import ClassifyOptions
from napari_cytodino.synthetic.smear import synthetic_smear


def main() -> None:
    """Draw three SYNTHETIC images and classify them twice."""
    images, out = Path(mkdtemp()), Path(mkdtemp())
    for seed in range(3):
        smear = synthetic_smear((500, 600), 3, seed=seed)
        Image.fromarray(smear.image).save(images / f"smear{seed}.png")
    tasks = pair_images(list_images([images], out), [])
    run = BatchRun("demo", out, ClassifyOptions(device="cpu"))
    for attempt in ("first", "second"):
        # workers=2 for local processes, scheduler="tcp://..." for a dask cluster
        for done in process_all(tasks, run):
            what = done.error or f"{done.cells} cells, {done.flagged} flagged"
            how = " (done before)" if done.skipped else ""
            print(f"{attempt}: {done.image.name}: {what}{how}")
    print("digest of the results:", digest(out))


# worker processes read this file again
if __name__ == "__main__":
    main()
