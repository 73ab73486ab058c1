"""Earlier predictions of a model, found again by the pixels it saw; no Qt."""

from __future__ import annotations

import hashlib
from collections import deque
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_cytodino.cells import CropBatch
from napari_cytodino.uncertainty import KEY, PredictionBatch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    import numpy.typing as npt


MOST = 100_000
"""Cells that are remembered, 2 to 9 kB each; the oldest are forgotten first."""


class PredictionCache:
    """Asks a classifier only about crops whose pixels it has not seen yet.

    A crop holds all that the model sees of a cell: the image, its plane and contrast,
    the cell's centre and the field of view. So the same pixels have the same answer,
    and any change of these, an edit in place too, makes other pixels. Checkpoint,
    device and number type belong to the classifier: another one has answers of its own.

    Parameters
    ----------
    classifier
        What the answers are of; a `core.inference.Classifier`.
    most
        How many cells are remembered.
    """

    def __init__(self, classifier: Any, most: int = MOST) -> None:
        self.classifier = classifier
        self._most = most
        self._kept: dict[bytes, tuple[PredictionBatch, int]] = {}

    def __len__(self) -> int:
        return len(self._kept)

    def run(
        self,
        crops: Iterable[CropBatch],
        cancelled: Callable[[], bool] = lambda: False,
    ) -> Iterator[PredictionBatch]:
        """Yield an answer for every crop, as `Classifier.run` does, known ones at once.

        Rows may come in another order than the crops.
        """
        sieve = _Sieve(iter(crops), self._kept)
        while not (sieve.ended or cancelled()):
            for answer in self.classifier.run(sieve.unseen(), cancelled):
                self._keep(sieve, answer)
                yield answer
                yield from sieve.found()
            yield from sieve.found()

    def _keep(self, sieve: _Sieve, answer: PredictionBatch) -> None:
        for place, row in enumerate(answer.rows):
            key = sieve.asked.pop(int(row))
            if key and answer.readable[place]:
                self._kept[key] = (answer, place)
        while len(self._kept) > self._most:
            del self._kept[next(iter(self._kept))]


class _Sieve:
    """Divides crops into those that were seen before and those to ask about.

    Attributes
    ----------
    asked
        Key of the pixels of each row that the classifier was given.
    ended
        True once the stream is at its end.
    """

    def __init__(
        self,
        crops: Iterator[CropBatch],
        kept: dict[bytes, tuple[PredictionBatch, int]],
    ) -> None:
        self._crops, self._kept = crops, kept
        self._found: deque[PredictionBatch] = deque()
        self.asked: dict[int, bytes] = {}
        self.ended = False

    def found(self) -> Iterator[PredictionBatch]:
        """Yield the answers that were known, as far as crops were taken."""
        while self._found:
            yield self._found.popleft()

    def unseen(self) -> Iterator[CropBatch]:
        """Yield crops to ask about, until some batch holds none.

        It ends there so that what was found is handed over: the classifier may take
        many crops ahead, and none where all are known.
        """
        for batch in self._crops:
            keys = [
                pixel_key(pixels) if readable else b""
                for pixels, readable in zip(batch.pixels, batch.readable, strict=True)
            ]
            # looked up once: another thread may forget one meanwhile
            hits = [self._kept.get(key) for key in keys]
            known = np.array([hit is not None for hit in hits], bool)
            if known.any():
                found = [hit for hit in hits if hit is not None]
                self._found.append(_joined(batch.rows[known], found))
            if known.all():
                return
            for place in np.flatnonzero(~known):
                self.asked[int(batch.rows[place])] = keys[place]
            yield CropBatch(
                batch.rows[~known], batch.pixels[~known], batch.readable[~known]
            )
        self.ended = True


def pixel_key(pixels: npt.NDArray[np.uint8]) -> bytes:
    """Return what tells a square crop (S, S, 3) uint8 from all others, 16 bytes."""
    solid = np.ascontiguousarray(pixels)
    return hashlib.blake2b(solid.data, digest_size=KEY).digest()


def _joined(
    rows: npt.NDArray[np.int64], found: list[tuple[PredictionBatch, int]]
) -> PredictionBatch:
    """Return answers that were given before, for the cells that have them now."""
    unlike = [
        batch.unfamiliarity[at]
        for batch, at in found
        if batch.unfamiliarity is not None
    ]
    features = [batch.features[at] for batch, at in found if batch.features is not None]
    keys = [batch.keys[at] for batch, at in found if batch.keys is not None]
    return PredictionBatch(
        rows,
        np.stack([batch.logits[at] for batch, at in found]),
        np.stack([batch.embeddings[at] for batch, at in found]),
        np.ones(len(rows), bool),
        np.array(unlike, np.float32) if unlike else None,
        np.stack(features) if features else None,
        np.stack(keys) if keys else None,
    )
