"""Many images from the dock: classified in a worker, reported in words; no Qt."""

from __future__ import annotations

from contextlib import closing, suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from napari_cytodino.common import InputError, StoppedError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from napari_cytodino.batch import BatchRun, ImageResult
    from napari_cytodino.checkpoints import Checkpoint


@dataclass(frozen=True)
class FolderPlan:
    """All that the worker needs to classify many images.

    Attributes
    ----------
    images
        Files, in the order of the work.
    paths
        The folders and files that were chosen; crops are named relative to them.
    checkpoint
        What `load_checkpoint` takes.
    field_of_view
        Side of the crop in image pixels; None takes the checkpoint's.
    risk
        As `Session.risk`.
    out
        Folder of the results.
    formats
        Of the tables, some of `batch.FORMATS`.
    crops
        True where each image is one cell.
    """

    images: tuple[Path, ...]
    paths: tuple[Path, ...]
    checkpoint: str
    out: Path
    formats: tuple[str, ...] = ("csv",)
    crops: bool = False
    field_of_view: float | None = None
    device: str = "auto"
    batch_size: int | None = None
    risk: float | None = None


@dataclass(frozen=True)
class Tally:
    """What became of the images so far.

    Attributes
    ----------
    failed
        Each image without a result, and why.
    unfamiliar
        How many cells are unlike the training cells, of how many.
    """

    done: int = 0
    cells: int = 0
    flagged: int = 0
    empty: int = 0
    skipped: int = 0
    failed: tuple[tuple[Path, str], ...] = ()
    unfamiliar: tuple[int, int] = (0, 0)

    def plus(self, outcome: ImageResult) -> Tally:
        """Return the tally with one more image in it."""
        if outcome.error:
            failed = (*self.failed, (outcome.image, outcome.error))
            return replace(self, done=self.done + 1, failed=failed)
        unfamiliar, compared = outcome.unfamiliar
        return replace(
            self,
            done=self.done + 1,
            cells=self.cells + outcome.cells,
            flagged=self.flagged + outcome.flagged,
            empty=self.empty + (outcome.cells == 0),
            skipped=self.skipped + outcome.skipped,
            unfamiliar=(self.unfamiliar[0] + unfamiliar, self.unfamiliar[1] + compared),
        )


@dataclass(frozen=True)
class Ready:
    """The model is loaded; its checkpoint says what is promised."""

    checkpoint: Checkpoint = field(repr=False)


def source_of(checkpoint: Checkpoint | str) -> str:
    """Return what opens a checkpoint again, in another place."""
    if isinstance(checkpoint, str):
        return checkpoint
    # one from the Hub lies in a folder of another name
    same = checkpoint.folder.name == checkpoint.name
    return str(checkpoint.folder) if same else checkpoint.name


def out_for(paths: Sequence[Path]) -> Path:
    """Return where results are proposed to lie: beside the images, not among them."""
    first = paths[0]
    if first.is_dir():
        return first.with_name(f"{first.name}-cytodino")
    return first.parent / "cytodino"


def find_images(paths: Sequence[Path], out: Path) -> Iterator[tuple[Path, ...]]:
    """Yield the images in these folders, without the pictures of earlier results.

    Raises
    ------
    InputError
        When there is none.
    """
    from napari_cytodino.batch import list_images

    yield tuple(list_images(paths, out))


def folder_steps(
    plan: FolderPlan,
    progress: Callable[[int, int], None],
    cancelled: Callable[[], bool],
) -> Iterator[Any]:
    """Yield `Ready`, then an `ImageResult` for each image that is done, or one `Tally`.

    Parameters
    ----------
    progress
        Called with the number of single cells done and of all, for crops only: they
        have one table, and so one tally at the end.

    Raises
    ------
    CytoDinoError
        When checkpoint, device, accuracy or the folder of the results cannot be used.
    """
    from napari_cytodino.batch import BatchRun, ImageTask, classifier_for, process_all
    from napari_cytodino.inference import ClassifyOptions

    try:
        plan.out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"The results cannot lie in {plan.out} ({error}); choose another folder."
        ) from error
    classifier = classifier_for(plan.checkpoint, plan.device, plan.batch_size)
    classifier.checkpoint.policy_at(plan.risk)
    yield Ready(classifier.checkpoint)
    job = ClassifyOptions(plan.field_of_view, plan.device, plan.batch_size, plan.risk)
    run = BatchRun(plan.checkpoint, plan.out, job, plan.formats)
    with suppress(StoppedError):
        if plan.crops:
            yield from _crops(plan, run, progress, cancelled)
            return
        tasks = [ImageTask(image) for image in plan.images]
        # closed at once, which lists what failed
        with closing(
            process_all(tasks, run, progress=lambda *_: _stop(cancelled))
        ) as outcomes:
            for outcome in outcomes:
                yield outcome
                # an image without cells, or done before, tells of no progress
                _stop(cancelled)


def _stop(cancelled: Callable[[], bool]) -> None:
    """Leave between two batches of cells, without a result of the image under way."""
    if cancelled():
        raise StoppedError


def _crops(
    plan: FolderPlan,
    run: BatchRun,
    progress: Callable[[int, int], None],
    cancelled: Callable[[], bool],
) -> Iterator[Tally]:
    from napari_cytodino.batch import process_all_crops

    def report(done: int, total: int) -> None:
        progress(done, total)
        _stop(cancelled)

    outcome = process_all_crops(plan.images, run, folders=plan.paths, progress=report)
    failed = _unreadable(plan)
    count = len(plan.images)
    yield Tally(
        count,
        outcome.cells - len(failed),
        outcome.flagged - len(failed),
        skipped=count if outcome.skipped else 0,
        failed=failed,
        unfamiliar=outcome.unfamiliar,
    )


def _unreadable(plan: FolderPlan) -> tuple[tuple[Path, str], ...]:
    """Return the crops that the table calls unreadable, if it can be read back."""
    from napari_cytodino.batch import CROPS_STEM
    from napari_cytodino.exports import READABLE, read_table

    written = (f".{name}" for name in plan.formats)
    suffix = next((name for name in written if name in READABLE), None)
    if suffix is None:
        return ()
    table = read_table(plan.out / f"{CROPS_STEM}{suffix}")
    return tuple(
        (image, reason)
        for image, status, reason in zip(
            plan.images, table["status"], table["reason"], strict=True
        )
        if status == "rejected"
    )


def words(plan: FolderPlan, tally: Tally, *, stopped: bool) -> str:
    """Return what came of a run, in a few sentences."""
    good = tally.done - len(tally.failed)
    parts = []
    if stopped:
        tail = "no table is written" if plan.crops else "start again to go on"
        parts.append(
            f"Stopped after {tally.done} of {len(plan.images)} images; {tail}."
        )
    parts.append(
        f"{tally.cells:,} cells in {good:,} images, {tally.flagged:,} of them flagged "
        "for an expert."
    )
    if tally.empty:
        parts.append(f"{_images(tally.empty)} without a cell.")
    if tally.skipped:
        parts.append(f"{_images(tally.skipped)} done before and left as they are.")
    if tally.failed:
        parts.append(f"{_images(len(tally.failed))} left out, see below.")
    return " ".join(parts)


def _images(count: int) -> str:
    return "1 image" if count == 1 else f"{count:,} images"
