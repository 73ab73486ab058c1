"""Judging a stored checkpoint on the test part, with and without the surroundings."""

from __future__ import annotations

import traceback
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from napari_cytodino.common import InputError
from napari_cytodino.inference import fused_model, pick_device, preprocess
from napari_cytodino.training.data import CellDataset
from napari_cytodino.training.metrics import classification_report
from napari_cytodino.uncertainty import Answers, accepted_cells

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import NDArray

    from napari_cytodino.checkpoints import Checkpoint
    from napari_cytodino.training.data import CellSet, CropSet


def disc(side: int, radius: Tensor, softness: float = 0.03) -> Tensor:
    """Return (B, 1, side, side) masks, 1 inside a central disc; radius in sides."""
    axis = (torch.arange(side) + 0.5) / side - 0.5
    distance = torch.hypot(axis[:, None], axis[None, :])
    return torch.sigmoid((radius[:, None, None, None] - distance) / softness)


VALIDATION = "validation, best epoch"
"""What figures of the published protocol are: of the cells that chose the epoch."""

TEST = "test"
"""Figures of cells that nothing was chosen on."""


def answers_of(
    checkpoint: Checkpoint,
    cells: CellSet,
    device: str = "cpu",
    batch: int = 32,
    workers: int = 0,
) -> Answers:
    """Return what the stored weights say, read cell by cell.

    Computed as the plugin does, in the checkpoint's `dtype`.

    Parameters
    ----------
    checkpoint : Checkpoint
        Gives weights and preprocessing, as for inference.
    cells : CellSet
        Any number: only a batch is in memory at once.
    device : str
        Where to compute.
    batch, workers : int
        Cells at once; processes that decode.
    """
    model = fused_model(checkpoint).to_device(device, checkpoint.dtype)
    loader = torch.utils.data.DataLoader(
        CellDataset(cells), batch_size=batch, num_workers=workers
    )
    logits, embeddings = [], []
    with torch.inference_mode():
        for item in loader:
            pixels = preprocess(item["pixels"].numpy(), checkpoint, device)
            answer, embedding = model.predict(pixels)
            logits.append(answer.cpu().numpy())
            embeddings.append(embedding.cpu().numpy())
    return Answers(
        np.concatenate(logits),
        np.concatenate(embeddings),
        cells.targets,
        cells.sources,
        patients_of(cells),
    )


def patients_of(cells: CellSet) -> NDArray[np.str_] | None:
    """Return the patient or slide of each cell, None unless all of them have one."""
    names = [file.group for file in cells.files]
    return np.array(names, np.str_) if all(names) else None


VIEWS = ("as it is", "surroundings grey", "surroundings exchanged")
"""The crop; its outside in the mean colour; its outside from another source."""

DEVICES = ("auto", "cuda", "mps", "cpu")
"""What a user may wish for; OpenVINO has no calibration of its own."""

RADIUS = 0.45
"""Of the disc that is kept, in sides of the crop."""


def device_of(wish: str) -> str:
    """Return the kind of device to compute on: "cuda", "mps" or "cpu".

    Parameters
    ----------
    wish
        One of `DEVICES`; "auto" takes a GPU where there is one.

    Raises
    ------
    InputError
        When it is no such device, or not usable here.
    """
    if wish not in DEVICES:
        raise InputError(f"'{wish}' is no device; choose one of {', '.join(DEVICES)}.")
    return pick_device(wish).kind


@contextmanager
def scratch_in(out: Path) -> Iterator[Path]:
    """Give a folder for packed crops, which may take gigabytes; remove it at the end.

    What maps a file of it must be local to a function that is called inside: Windows
    removes no file that is still mapped, and says so to nobody.
    """
    with TemporaryDirectory(dir=out, ignore_cleanup_errors=True) as name:
        try:
            yield Path(name)
        except BaseException as error:
            # the frames an error goes through would keep their arrays until it is told
            traceback.clear_frames(error.__traceback__)
            raise


def change_surroundings(
    pixels: NDArray[np.uint8], outside: NDArray[np.uint8]
) -> NDArray[np.uint8]:
    """Keep a central disc of each crop and take the rest from ``outside``."""
    inside = disc(pixels.shape[1], torch.full((1,), RADIUS), softness=0.01)
    kept = inside[0, 0].numpy()[None, :, :, None]
    mixed = kept * pixels + (1 - kept) * outside
    return np.asarray(np.rint(mixed), dtype=np.uint8)


def others(sources: NDArray[np.str_], seed: int = 0) -> NDArray[np.int64]:
    """Return for each crop a crop of another source; of its own if there is one."""
    rng = np.random.default_rng(seed)
    chosen = np.empty(len(sources), np.int64)
    for source in np.unique(sources):
        own = sources == source
        others = np.flatnonzero(~own) if (~own).any() else np.flatnonzero(own)
        chosen[own] = rng.choice(others, size=int(own.sum()))
    return chosen


def view_of(crops: CropSet, rows: NDArray[np.int64], view: str) -> NDArray[np.uint8]:
    """Return the crops of some rows as one of `VIEWS`."""
    pixels = np.ascontiguousarray(crops.pixels[rows])
    if view == VIEWS[0]:
        return pixels
    if view == VIEWS[1]:
        sample = crops.pixels[:: max(1, len(crops) // 256)]
        grey = np.rint(sample.mean(axis=(0, 1, 2))).astype(np.uint8)
        return change_surroundings(pixels, np.broadcast_to(grey, pixels.shape))
    return change_surroundings(pixels, crops.pixels[others(crops.sources)[rows]])


def stored_answers(
    checkpoint: Checkpoint,
    crops: CropSet,
    view: str = VIEWS[0],
    batch: int = 64,
    device: str = "cpu",
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return logits (N, C) and embeddings (N, D) of the stored weights."""
    starts = range(0, len(crops), batch)
    parts = (np.arange(i, min(i + batch, len(crops))) for i in starts)
    pixels = (view_of(crops, rows, view) for rows in parts)
    return pixel_answers(checkpoint, pixels, device)


def pixel_answers(
    checkpoint: Checkpoint,
    batches: Iterable[NDArray[np.uint8]],
    device: str = "cpu",
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return logits (N, C) and embeddings (N, D) of crops, batch (B, S, S, 3) by batch.

    By the stored weights, computed as the plugin does, in the checkpoint's `dtype`, on
    a kind of device as `device_of` gives it.
    """
    model = fused_model(checkpoint).to_device(device, checkpoint.dtype)
    logits, embeddings = [], []
    with torch.inference_mode():
        for pixels in batches:
            answer, embedding = model.predict(preprocess(pixels, checkpoint, device))
            logits.append(answer.cpu().numpy())
            embeddings.append(embedding.cpu().numpy())
    return np.concatenate(logits), np.concatenate(embeddings)


def answers_to(checkpoint: Checkpoint, crops: CropSet, device: str = "cpu") -> Answers:
    """Return what the stored weights say of crops, with the truth beside it."""
    logits, embeddings = stored_answers(checkpoint, crops, device=device)
    return Answers(logits, embeddings, crops.targets, crops.sources)


def unfamiliarity_of(
    checkpoint: Checkpoint, embeddings: NDArray[np.float32]
) -> NDArray[np.float32] | None:
    """Return how unlike the training cells, as the plugin would; None if unknown."""
    familiarity = checkpoint.familiarity()
    if familiarity is None:
        return None
    return familiarity.novelty_score(embeddings.astype(np.float16))


def by_source(
    checkpoint: Checkpoint,
    logits: NDArray[np.float32],
    targets: NDArray[np.int64],
    sources: NDArray[np.str_],
    unfamiliarity: NDArray[np.float32] | None = None,
) -> dict[str, Any]:
    """Return the figures of each data set, by its name."""
    codes, guesses = checkpoint.taxonomy.codes, logits.argmax(axis=1)
    taken = accepted_cells(
        logits, checkpoint.taxonomy, checkpoint.policy, unfamiliarity
    )
    return {
        str(source): classification_report(
            targets[own], guesses[own], codes, taken[own]
        )
        for source in np.unique(sources)
        for own in [sources == source]
    }


def evaluate_crops(
    checkpoint: Checkpoint,
    crops: CropSet,
    plain: tuple[NDArray[np.float32], NDArray[np.float32]] | None = None,
    device: str = "cpu",
) -> dict[str, Any]:
    """Return the figures of each source, for each of `VIEWS`.

    Parameters
    ----------
    checkpoint : Checkpoint
        Its stored weights are what is judged.
    crops : CropSet
        Test cells at the checkpoint's field of view.
    plain : tuple of two arrays, optional
        Their logits and embeddings as they are, where these are known already.
    device : str
        As `device_of` gives it.
    """
    out: dict[str, Any] = {}
    for view in VIEWS:
        if plain is not None and view == VIEWS[0]:
            logits, embeddings = plain
        else:
            logits, embeddings = stored_answers(checkpoint, crops, view, device=device)
        unlike = unfamiliarity_of(checkpoint, embeddings)
        out[view] = by_source(checkpoint, logits, crops.targets, crops.sources, unlike)
    return out
