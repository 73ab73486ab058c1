"""From crops to predictions: device, batches, back-off when memory runs out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_cytodino.common import CytoDinoError, InputError
from napari_cytodino.inference._prefetch import prefetch
from napari_cytodino.inference.cache import pixel_key
from napari_cytodino.inference.devices import on_device
from napari_cytodino.uncertainty import KEY, PredictionBatch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    import numpy.typing as npt
    import torch

    from napari_cytodino.cells import CropBatch
    from napari_cytodino.checkpoints import Checkpoint
    from napari_cytodino.inference.engine import Model


LARGEST_BATCH = 256
"""Cells at a time on a GPU; more than keep it busy only delay cancelling."""

CPU_BATCH = 8
"""Cells at a time on a CPU: more gain nothing there, and make cancelling slower."""


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
        self.checkpoint, self.device = on_device(checkpoint, device, dtype)
        self.dtype = self.checkpoint.dtype
        self._model = self._build()
        self._familiarity = self.checkpoint.familiarity()
        self.batch_size = batch_size or self._probe_batch_size()

    def _build(self) -> Model:
        from napari_cytodino.inference.engine import fused_model

        model = fused_model(self.checkpoint)
        if self.device.kind == "openvino":
            from napari_cytodino.inference._openvino_model import OpenVinoModel

            return OpenVinoModel(model, self.checkpoint.preprocessing.size, self.dtype)
        try:
            return model.to_device(self.device.kind, self.dtype)
        except RuntimeError as error:
            raise self._memory_error("the model", error) from error

    def _probe_batch_size(self) -> int:
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
                tried = tried[: self._halved(len(tried), error)]
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
            logits, embeddings, features = self._run_batches(batch.pixels)
            finite = np.isfinite(logits).all(axis=1)
            yield PredictionBatch(
                batch.rows,
                logits,
                embeddings,
                batch.readable & finite,
                self._unfamiliarity(embeddings),
                features,
                _keys(batch.pixels),
            )

    def _unfamiliarity(
        self, embeddings: npt.NDArray[np.float16]
    ) -> npt.NDArray[np.float32] | None:
        """Return how unlike the training cells; an embedding of NaN is unlike all."""
        if self._familiarity is None:
            return None
        unlike = self._familiarity.novelty_score(embeddings)
        return np.where(np.isnan(unlike), np.float32(np.inf), unlike)

    def _run_batches(
        self, pixels: npt.NDArray[np.uint8]
    ) -> tuple[
        npt.NDArray[np.float32], npt.NDArray[np.float16], npt.NDArray[np.float16]
    ]:
        parts, start = [], 0
        while start < len(pixels):
            size = min(self.batch_size, len(pixels) - start)
            try:
                parts.append(self._forward(pixels[start : start + size]))
            except RuntimeError as error:
                self.batch_size = self._halved(size, error)
                continue
            start += size
        logits, embeddings, features = zip(*parts, strict=True)
        return (
            np.concatenate(logits),
            np.concatenate(embeddings),
            np.concatenate(features),
        )

    def _halved(self, size: int, error: RuntimeError) -> int:
        """Return how many cells to try where memory ran out on `size`, or raise."""
        if size == 1 or not _no_memory(error):
            raise self._memory_error("a single cell", error) from error
        return size // 2

    def _memory_error(self, what: str, error: RuntimeError) -> CytoDinoError:
        """Return the error in words where it is of memory, else raise it as it is."""
        if not _no_memory(error):
            raise error
        return CytoDinoError(
            f"Memory of {self.device.name} ran out on {what}; close other programs or "
            "choose the device 'cpu'."
        )

    def _forward(
        self, pixels: npt.NDArray[np.uint8]
    ) -> tuple[
        npt.NDArray[np.float32], npt.NDArray[np.float16], npt.NDArray[np.float16]
    ]:
        import torch

        with torch.inference_mode():
            kind = "cpu" if self.device.kind == "openvino" else self.device.kind
            values = preprocess(pixels, self.checkpoint, kind)
            logits, *others = self._model.predict(values)
        embeddings, features = (
            part.float().clamp(-6e4, 6e4).cpu().numpy().astype(np.float16)
            for part in others
        )
        return logits.float().cpu().numpy(), embeddings, features


def _keys(pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Return the keys of crops, (B, 16)."""
    joined = b"".join(pixel_key(crop) for crop in pixels)
    return np.frombuffer(joined, np.uint8).reshape(len(pixels), KEY)


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

    from napari_cytodino.models import resize

    want = checkpoint.preprocessing
    values = torch.from_numpy(pixels).to(device).permute(0, 3, 1, 2)
    # channels first in memory too, and in place: half the time on a CPU
    values = values.contiguous().float()
    values = resize(values, want.size)
    mean, std = (
        torch.tensor(v).view(1, 3, 1, 1).to(device) for v in (want.mean, want.std)
    )
    return values.div_(255).sub_(mean).div_(std)
