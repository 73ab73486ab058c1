"""From crops to predictions: device, batches, back-off when memory runs out."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_cytodino.core.blocks import finest
from napari_cytodino.core.cells import Cells, cells_from_crops, cells_from_labels
from napari_cytodino.core.crops import CropBatch, crop_side, iter_crops, iter_series
from napari_cytodino.core.errors import CytoDinoError, InputError
from napari_cytodino.core.evidence import weigh
from napari_cytodino.core.images import ImageSource
from napari_cytodino.core.precision import pick_dtype
from napari_cytodino.core.predictions import PredictionBatch, Predictions
from napari_cytodino.core.prefetch import prefetch
from napari_cytodino.core.provenance import Provenance
from napari_cytodino.core.table import build_table, file_table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    import numpy.typing as npt
    import pandas as pd
    import torch

    from napari_cytodino.core.checkpoint import Checkpoint
    from napari_cytodino.core.engine import Model

DEVICES = ("auto", "cuda", "mps", "cpu", "openvino")
"""What a user may wish for; `auto` takes the first that works, but not OpenVINO, which
takes seconds to prepare a model."""

LARGEST_BATCH = 256
"""Cells at a time on a GPU; more than keep it busy only delay cancelling."""

CPU_BATCH = 8
"""Cells at a time on a CPU: more gain nothing there, and make cancelling slower."""


@dataclass(frozen=True)
class Device:
    """Where the model runs, by name, and why not on a GPU."""

    kind: str
    name: str
    why: str = ""


def pick_device(wish: str = "auto") -> Device:
    """Choose the device to run on.

    Parameters
    ----------
    wish
        One of `DEVICES`.

    Raises
    ------
    InputError
        When the device is unknown or not usable here.
    """
    if wish not in DEVICES:
        raise InputError(f"'{wish}' is no device; choose one of {', '.join(DEVICES)}.")
    import torch

    cuda = torch.cuda.is_available()
    mps = torch.backends.mps.is_available()
    if wish in ("auto", "cuda") and cuda:
        return Device("cuda", torch.cuda.get_device_name())
    if wish in ("auto", "mps") and mps:
        return Device("mps", "Apple GPU")
    if wish == "openvino":
        from napari_cytodino.core.openvino_model import openvino_name

        return Device("openvino", openvino_name())
    why = (
        "this build of torch is for the CPU only; for an NVIDIA GPU install the build "
        "that pytorch.org names for it"
        if torch.version.cuda is None
        else "torch finds no usable NVIDIA driver; update the driver"
    )
    if wish in ("cuda", "mps"):
        raise InputError(f"Device '{wish}' cannot be used: {why}, or use --device cpu.")
    cores = torch.get_num_threads()
    return Device("cpu", f"CPU, {cores} threads", "" if wish == "cpu" else why)


class Classifier:
    """A checkpoint on a device, ready for batches of crops.

    Parameters
    ----------
    checkpoint
        From `load_checkpoint`.
    device
        One of `DEVICES`.
    batch_size
        At first; halved for good each time that memory runs out. None takes what suits
        the device and fits into its memory.
    dtype
        One of `precision.DTYPES`.

    Attributes
    ----------
    checkpoint
        With the thresholds that hold for what is computed in.
    dtype
        What is computed in.
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        device: str = "auto",
        batch_size: int | None = None,
        dtype: str = "auto",
    ) -> None:
        if batch_size is not None and batch_size < 1:
            raise InputError(f"A batch size of {batch_size} is below 1; raise it.")
        self.device = pick_device(device)
        self.dtype = pick_dtype(dtype, self.device.kind, checkpoint.calibrated)
        if self.dtype != checkpoint.dtype:
            checkpoint = checkpoint.at(self.dtype)
        self.checkpoint = checkpoint
        self._model = self._build()
        self._familiarity = checkpoint.familiarity()
        self.batch_size = batch_size or self._fitting()

    def _build(self) -> Model:
        from napari_cytodino.core.engine import fused_model

        model = fused_model(self.checkpoint)
        if self.device.kind == "openvino":
            from napari_cytodino.core.openvino_model import OpenVinoModel

            return OpenVinoModel(model, self.checkpoint.preprocessing.size, self.dtype)
        try:
            return model.cast(self.device.kind, self.dtype)
        except RuntimeError as error:
            raise self._told("the model", error) from error

    def _fitting(self) -> int:
        """Return how many cells at a time suit the device."""
        if self.device.kind != "cuda":
            return CPU_BATCH
        import torch

        side = self.checkpoint.preprocessing.size
        tried, count = np.zeros((CPU_BATCH, side, side, 3), np.uint8), 0
        before = torch.cuda.memory_allocated()
        while not count:
            torch.cuda.reset_peak_memory_stats()
            try:
                count = len(self._forward(tried)[0])
            except RuntimeError as error:
                tried = tried[: self._fewer(len(tried), error)]
        need = (torch.cuda.max_memory_allocated() - before) / count
        fits = fitting_batch(need, torch.cuda.mem_get_info()[0])
        # more than what ran out of memory just now never fit
        return fits if count == CPU_BATCH else min(fits, count)

    def run(
        self,
        crops: Iterable[CropBatch],
        cancelled: Callable[[], bool] = lambda: False,
    ) -> Iterator[PredictionBatch]:
        """Yield the answer for each batch of crops, until the end or cancelled.

        Raises
        ------
        CytoDinoError
            When a single crop does not fit into memory.
        """
        for batch in prefetch(crops):
            if cancelled():
                return
            logits, embeddings = self._in_parts(batch.pixels)
            finite = np.isfinite(logits).all(axis=1)
            yield PredictionBatch(
                batch.rows,
                logits,
                embeddings,
                batch.readable & finite,
                self._unfamiliarity(embeddings),
            )

    def _unfamiliarity(
        self, embeddings: npt.NDArray[np.float16]
    ) -> npt.NDArray[np.float32] | None:
        """Return how unlike the training cells; an embedding of NaN is unlike all."""
        if self._familiarity is None:
            return None
        unlike = self._familiarity.unfamiliarity(embeddings)
        return np.where(np.isnan(unlike), np.float32(np.inf), unlike)

    def _in_parts(
        self, pixels: npt.NDArray[np.uint8]
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float16]]:
        parts, start = [], 0
        while start < len(pixels):
            size = min(self.batch_size, len(pixels) - start)
            try:
                parts.append(self._forward(pixels[start : start + size]))
            except RuntimeError as error:
                self.batch_size = self._fewer(size, error)
                continue
            start += size
        return (
            np.concatenate([part[0] for part in parts]),
            np.concatenate([part[1] for part in parts]),
        )

    def _fewer(self, size: int, error: RuntimeError) -> int:
        """Return how many cells to try where memory ran out on `size`, or raise."""
        if size == 1 or not _no_memory(error):
            raise self._told("a single cell", error) from error
        return size // 2

    def _told(self, what: str, error: RuntimeError) -> CytoDinoError:
        """Return the error in words where it is of memory, else raise it as it is."""
        if not _no_memory(error):
            raise error
        return CytoDinoError(
            f"Memory of {self.device.name} ran out on {what}; close other programs or "
            "choose the device 'cpu'."
        )

    def _forward(
        self, pixels: npt.NDArray[np.uint8]
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float16]]:
        import torch

        with torch.inference_mode():
            kind = "cpu" if self.device.kind == "openvino" else self.device.kind
            values = preprocess(pixels, self.checkpoint, kind)
            logits, embeddings = self._model.embed(values)
        return (
            logits.float().cpu().numpy(),
            embeddings.float().clamp(-6e4, 6e4).cpu().numpy().astype(np.float16),
        )


def _no_memory(error: RuntimeError) -> bool:
    # torch.OutOfMemoryError is one; CPU, MPS and cuBLAS raise plain RuntimeErrors.
    text = str(error).lower()
    return "memory" in text or "alloc_failed" in text


def fitting_batch(need: float, free: float) -> int:
    """Return a power of two of cells that uses at most half of the free memory.

    Parameters
    ----------
    need, free
        Bytes: of one cell, and left on the device.
    """
    fits = max(1, int(free / 2 / max(need, 1)))
    return min(1 << (fits.bit_length() - 1), LARGEST_BATCH)


def preprocess(
    pixels: npt.NDArray[np.uint8], checkpoint: Checkpoint, device: str = "cpu"
) -> torch.Tensor:
    """Resize and normalise crops on the device.

    Parameters
    ----------
    pixels : (B, S, S, 3) uint8

    Returns
    -------
    Tensor
        (B, 3, H, H) float32, H the input side of the checkpoint.
    """
    import torch

    from napari_cytodino.core.resizing import resize

    want = checkpoint.preprocessing
    values = torch.from_numpy(pixels).to(device).permute(0, 3, 1, 2)
    # channels first in memory too, and in place: half the time on a CPU
    values = values.contiguous().float()
    values = resize(values, want.size)
    mean, std = (
        torch.tensor(v).view(1, 3, 1, 1).to(device) for v in (want.mean, want.std)
    )
    return values.div_(255).sub_(mean).div_(std)


@dataclass(frozen=True)
class Job:
    """Everything that shapes a result, besides the pixels; frozen and comparable.

    Attributes
    ----------
    field_of_view
        Side of a crop in image pixels; None takes that of the checkpoint.
    risk
        Largest share of errors among accepted cells (`calibration.RISKS`); None takes
        that of the checkpoint.
    dtype
        What the model computes in (`precision.DTYPES`).
    """

    field_of_view: float | None = None
    device: str = "auto"
    batch_size: int | None = None
    risk: float | None = None
    dtype: str = "auto"


def classify(
    image: Any,
    cells: Cells | npt.NDArray[Any] | None,
    checkpoint: Checkpoint | str = "starter",
    *,
    job: Job | None = None,
    name: str = "image",
    classifier: Classifier | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> pd.DataFrame:
    """Classify the cells of an image.

    Parameters
    ----------
    image
        An array, `ImageSource`, or a `CropSeries` of ready-made crops.
    cells
        `Cells`, or a label image (Y, X), which may be lazy; None for a `CropSeries`.
    checkpoint
        From `load_checkpoint`, or what that takes.
    job
        Field of view, device, batch size and risk.
    name
        What the column `image` says.
    classifier
        Used again from image to image; made from `checkpoint` when None.
    progress
        Called with the number of cells done and of all.

    Returns
    -------
    DataFrame
        The cell table with the columns of files; ``attrs`` holds taxonomy,
        provenance, and ``unfamiliar``: how many cells are unlike the training cells,
        of how many.

    Raises
    ------
    CytoDinoError
        When image, cells or checkpoint cannot be used.
    """
    from napari_cytodino.core.checkpoint import load_checkpoint

    job = job or Job()
    if isinstance(checkpoint, str):
        checkpoint = load_checkpoint(checkpoint)
    classifier = classifier or Classifier(
        checkpoint, job.device, job.batch_size, job.dtype
    )
    # its thresholds are those for what is computed in
    checkpoint = classifier.checkpoint
    policy = checkpoint.policy_at(job.risk)
    field = job.field_of_view or checkpoint.preprocessing.field_of_view
    batches, found = _intake(image, cells, crop_side(field), classifier.batch_size)
    answers = classifier.run(batches)
    predictions = collect(answers, len(found), checkpoint, progress)
    evidence = weigh(predictions, checkpoint.taxonomy, policy.temperature)
    table = build_table(
        found, predictions, checkpoint.taxonomy, policy, evidence=evidence
    )
    table.attrs["unfamiliar"] = evidence.foreign(policy.max_unfamiliarity)
    used = {"device": classifier.device.name, "dtype": classifier.dtype}
    settings = {**asdict(job), "field_of_view": field, **used}
    notes = Provenance(
        name,
        checkpoint.name,
        checkpoint.sha256,
        checkpoint.synthetic,
        asdict(policy),
        settings,
    )
    table.attrs["provenance"] = notes.to_dict()
    return file_table(
        table,
        found,
        predictions,
        checkpoint.taxonomy,
        policy,
        image=name,
        checkpoint=f"{checkpoint.name}@{checkpoint.sha256[:12]}",
    )


def collect(
    batches: Iterable[PredictionBatch],
    count: int,
    checkpoint: Checkpoint,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Predictions:
    """Gather batches into predictions for `count` cells."""
    kept, done = [], 0
    for batch in batches:
        kept.append(batch)
        done += len(batch.rows)
        progress(done, count)
    width = kept[0].embeddings.shape[1] if kept else 0
    empty = Predictions.empty(count, len(checkpoint.taxonomy), width)
    return empty.with_batches(kept)


def _intake(
    image: Any, cells: Any, side: int, batch_size: int
) -> tuple[Iterator[CropBatch], Cells]:
    if not isinstance(image, ImageSource) and hasattr(image, "source"):
        found = cells_from_crops(image.count, side)
        return iter_series(image, side, batch_size), found
    source = image if isinstance(image, ImageSource) else ImageSource(image)
    if cells is None:
        raise InputError(
            "No cells were given; pass a label image, or find_cells(image) first."
        )
    if not isinstance(cells, Cells):
        labels = finest(cells)
        labels = labels if hasattr(labels, "shape") else np.asarray(labels)
        if tuple(labels.shape) != source.shape:
            raise InputError(
                f"Labels of shape {tuple(labels.shape)} do not fit an image of "
                f"{source.shape}; segment this image, or choose its own labels."
            )
        cells = cells_from_labels(labels)
    return iter_crops(source, cells, side, batch_size), cells
