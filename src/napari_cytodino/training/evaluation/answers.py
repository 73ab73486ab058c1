"""Judging a stored checkpoint on the test part, with and without the surroundings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from napari_cytodino.common import InputError
from napari_cytodino.inference import fused_model, pick_device, preprocess
from napari_cytodino.training.metrics import classification_report
from napari_cytodino.uncertainty import LabelledPredictions, accepted_cells

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from napari_cytodino.checkpoints import Checkpoint
    from napari_cytodino.training.data import CellSet


def disc(side: int, radius: Tensor, softness: float = 0.03) -> Tensor:
    """Return (B, 1, side, side) masks, 1 inside a central disc; radius in sides."""
    axis = (torch.arange(side) + 0.5) / side - 0.5
    distance = torch.hypot(axis[:, None], axis[None, :])
    return torch.sigmoid((radius[:, None, None, None] - distance) / softness)


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


def view_of(crops: CellSet, rows: NDArray[np.int64], view: str) -> NDArray[np.uint8]:
    """Return the crops of some rows as one of `VIEWS`."""
    pixels = crops.read(rows)
    if view == VIEWS[0]:
        return pixels
    if view == VIEWS[1]:
        sample = crops.read(np.arange(0, len(crops), max(1, len(crops) // 256)))
        grey = np.rint(sample.mean(axis=(0, 1, 2))).astype(np.uint8)
        return change_surroundings(pixels, np.broadcast_to(grey, pixels.shape))
    return change_surroundings(pixels, crops.read(others(crops.sources)[rows]))


def predictions_of(
    checkpoint: Checkpoint,
    cells: CellSet,
    device: str = "cpu",
    *,
    view: str = VIEWS[0],
    batch: int = 64,
) -> LabelledPredictions:
    """Return the predictions of the stored weights, with the truth beside them.

    Computed as the plugin does, in the checkpoint's `dtype`.

    Parameters
    ----------
    checkpoint : Checkpoint
        Gives weights and preprocessing, as for inference, and the training cells that
        each cell is compared with, if it has some.
    cells : CellSet
        Any number: only a batch is in memory at once.
    device : str
        As `device_of` gives it.
    view : str
        One of `VIEWS`.
    batch : int
        Cells at once.
    """
    starts = range(0, len(cells), batch)
    rows = (np.arange(i, min(i + batch, len(cells))) for i in starts)
    pixels = (view_of(cells, each, view) for each in rows)
    logits, embeddings = pixel_answers(checkpoint, pixels, device)
    found = LabelledPredictions(
        cells.targets, logits, cells.sources, embeddings, cells.groups, cells.paths
    )
    return found.compared_with(checkpoint.familiarity())


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
    head = checkpoint.taught.head if checkpoint.taught else None
    with torch.inference_mode():
        for pixels in batches:
            values = preprocess(pixels, checkpoint, device)
            answer, embedding, features = model.predict(values)
            own = answer.cpu().numpy()
            if head is not None:
                own = head.logits(features.cpu().numpy().astype(np.float16), own)
            logits.append(own)
            embeddings.append(embedding.cpu().numpy())
    if not logits:
        raise InputError("There are 0 cells to judge; give a folder with some.")
    return np.concatenate(logits), np.concatenate(embeddings)


def unfamiliarity_of(
    checkpoint: Checkpoint, embeddings: NDArray[np.float32]
) -> NDArray[np.float32] | None:
    """Return how unlike the training cells, as the plugin would; None if unknown."""
    familiarity = checkpoint.familiarity()
    if familiarity is None:
        return None
    return familiarity.novelty_score(embeddings.astype(np.float16))


def by_source(checkpoint: Checkpoint, cells: LabelledPredictions) -> dict[str, Any]:
    """Return the figures of each data set, by its name."""
    taken = accepted_cells(
        cells.logits, checkpoint.taxonomy, checkpoint.policy, cells.unfamiliarity
    )
    return {
        str(source): classification_report(
            cells.targets[own],
            cells.guesses[own],
            checkpoint.taxonomy.codes,
            taken[own],
        )
        for source in np.unique(cells.sources)
        for own in [cells.sources == source]
    }
