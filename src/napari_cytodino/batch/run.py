"""Many images one after another, in local worker processes, or on a dask cluster."""

from __future__ import annotations

import threading
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from napari_cytodino import __version__
from napari_cytodino.batch._workers import Lost, connected, local_cluster, spread
from napari_cytodino.batch.images import CROPS_STEM, process_crops, process_image
from napari_cytodino.batch.inputs import ImageTask, relative, result_names
from napari_cytodino.batch.record import (
    FAILED,
    SUMMARY,
    Record,
    done_before,
    forget,
    request_for,
    result_hash,
    tidy,
    write_failures,
    write_record,
    write_summary,
)
from napari_cytodino.cells import crop_side
from napari_cytodino.checkpoints import load_checkpoint
from napari_cytodino.common import (
    CheckpointError,
    CytoDinoError,
    InputError,
    StoppedError,
    sha256,
)
from napari_cytodino.inference import DEVICES, DTYPES, Classifier, ClassifyOptions

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping, Sequence
    from pathlib import Path

    import pandas as pd

    from napari_cytodino.checkpoints import Checkpoint


_WORKING = threading.Lock()

_LOADING = threading.Lock()

_LOADED: dict[tuple[object, ...], Classifier] = {}


@dataclass(frozen=True)
class BatchRun:
    """What is the same for every image.

    Attributes
    ----------
    checkpoint
        What `load_checkpoint` takes; each process loads it once.
    out
        Folder of the results; on a cluster one that all workers see.
    again
        Do also what was done before.
    threads
        Of each process; 0 leaves them as they are. The last digit of a number in the
        results can depend on it.
    sha256
        Hash of the checkpoint, where a process must not take another one.
    part
        Of a job array, as in ``1-of-4``: it gets its own list of what failed, and its
        own table of single cells.
    """

    checkpoint: str
    out: Path
    job: ClassifyOptions
    formats: tuple[str, ...] = ("csv",)
    again: bool = False
    threads: int = 0
    sha256: str = ""
    part: str = ""


SCALE = ("field_microns", "pixel_size", "cell_size")
"""Options that are in a record only where they are given."""


@dataclass(frozen=True)
class ImageResult:
    """What became of one image; `error` says why there is no result.

    `unfamiliar`: how many cells are unlike the training cells, of how many. `skipped`:
    it was done before, and its files are as they were written. `scale`: how large a
    pixel was taken to be, in words.
    """

    image: Path
    cells: int = 0
    flagged: int = 0
    error: str = ""
    unfamiliar: tuple[int, int] = (0, 0)
    skipped: bool = False
    scale: str = ""


def classifier_for(
    checkpoint: str,
    device: str,
    batch_size: int | None,
    dtype: str = "auto",
    sha256: str = "",
) -> Classifier:
    """Return the one classifier of this process.

    Raises
    ------
    CheckpointError
        When the checkpoint has another hash than `sha256`.
    """
    key = (checkpoint, device, batch_size, dtype)
    with _LOADING:
        loaded = _LOADED.get(key)
        if loaded is None or sha256 not in ("", loaded.checkpoint.sha256):
            # two may not fit into memory
            _LOADED.clear()
            loaded = Classifier(load_checkpoint(checkpoint), device, batch_size, dtype)
            _LOADED[key] = loaded
    found = loaded.checkpoint.sha256
    if sha256 not in ("", found):
        raise CheckpointError(
            f"The checkpoint '{checkpoint}' is {found[:12]} where this image was to be "
            f"done and {sha256[:12]} where the run was started; install the same one."
        )
    return loaded


def classify_recorded(
    task: ImageTask,
    stem: str,
    run: BatchRun,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> ImageResult:
    """Classify one image and write its results, then its record, unless it is done.

    Faults are returned, not raised.

    Parameters
    ----------
    progress
        Called with the number of cells done and of all; may raise `StoppedError`.
    """
    try:
        # However many threads dask has: memory holds one model and one image.
        with _WORKING:
            return _process(task, stem, run, progress)
    except StoppedError:
        raise
    except Exception as error:
        # Whatever is wrong with one image must not stop the others.
        return ImageResult(task.image, error=reason(error))


def reason(error: Exception) -> str:
    """Return why there is no result, in one line."""
    text = " ".join(str(error).split())
    if isinstance(error, CytoDinoError):
        return text
    if isinstance(error, MemoryError):
        return f"memory ran out ({text}); close other programs, or use fewer workers"
    if isinstance(error, OSError):
        return f"the system refused: {text}; check the file, the disk and your rights"
    return f"unexpected {type(error).__name__}: {text}; please report it"


def _process(
    task: ImageTask, stem: str, run: BatchRun, progress: Callable[[int, int], None]
) -> ImageResult:
    classifier = _classifier(run)
    files = {"image": task.image, "labels": task.labels, "points": task.points}

    def work() -> pd.DataFrame:
        return process_image(
            task,
            classifier,
            run.out,
            stem=stem,
            job=run.job,
            formats=run.formats,
            progress=progress,
        )

    return _recorded(task.image, stem, files, run, classifier, work)


def process_all_crops(
    files: Sequence[Path],
    run: BatchRun,
    *,
    folders: Sequence[Path] = (),
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> ImageResult:
    """Classify single-cell images into one table with one record, unless it is done.

    Raises
    ------
    CytoDinoError
        When checkpoint or options cannot be used.
    """
    classifier, stem = _classifier(run), crops_stem(run)

    def work() -> pd.DataFrame:
        return process_crops(
            files,
            classifier,
            run.out,
            job=run.job,
            folders=folders,
            formats=run.formats,
            stem=stem,
            progress=progress,
        )

    named = {f"{number} {relative(f, folders)}": f for number, f in enumerate(files)}
    try:
        return _recorded(run.out / stem, stem, named, run, classifier, work)
    except (OSError, MemoryError) as error:
        raise CytoDinoError(reason(error)) from error


def crops_stem(run: BatchRun) -> str:
    """Return the stem of the result of a run over single-cell images."""
    return f"{CROPS_STEM}-{run.part}" if run.part else CROPS_STEM


def _classifier(run: BatchRun) -> Classifier:
    job = run.job
    if run.threads:
        import torch

        torch.set_num_threads(run.threads)
    return classifier_for(
        run.checkpoint, job.device, job.batch_size, job.dtype, run.sha256
    )


def open_checkpoint(run: BatchRun, *, elsewhere: bool = False) -> Checkpoint:
    """Return the checkpoint of a run that can start.

    Parameters
    ----------
    elsewhere
        The work is done on other machines: this one needs not have their device, and
        no model is built here.

    Raises
    ------
    CytoDinoError
        When checkpoint, device, number type, field of view or risk cannot be used.
    """
    job = run.job
    if job.field_of_view is not None:
        crop_side(job.field_of_view)
    if elsewhere:
        for wish, known in ((job.device, DEVICES), (job.dtype, DTYPES)):
            if wish not in known:
                raise InputError(f"'{wish}' is none of {', '.join(known)}; choose one.")
        checkpoint = load_checkpoint(run.checkpoint)
    else:
        checkpoint = _classifier(run).checkpoint
    checkpoint.policy_at(job.risk)
    return checkpoint


def _settings(run: BatchRun, classifier: Classifier) -> dict[str, Any]:
    """Return what shapes a result besides the pixels, as plain values for JSON."""
    checkpoint, job = classifier.checkpoint, run.job
    return {
        "checkpoint": checkpoint.sha256,
        "dtype": classifier.dtype,
        "field_of_view": job.field_of_view or checkpoint.preprocessing.field_of_view,
        **{n: v for n in SCALE if (v := getattr(job, n)) is not None},
        "risk": job.risk,
        "formats": sorted(run.formats),
        "version": __version__,
    }


def _recorded(
    image: Path,
    stem: str,
    files: Mapping[str, Path | None],
    run: BatchRun,
    classifier: Classifier,
    work: Callable[[], pd.DataFrame],
) -> ImageResult:
    """Do the work unless its record holds; write the record when all is in place."""
    before = _times(files)
    request = request_for(files, _settings(run, classifier))
    record = None if run.again else done_before(run.out, stem, request)
    skipped = record is not None
    if record is None:
        old = forget(run.out, stem)
        table = work()
        if _times(files) != before:
            raise InputError(
                f"{image.name} or its cells changed while it was classified; run the "
                "same command again when nobody writes to it."
            )
        record = _record(request, table, run.out, classifier)
        write_record(run.out, stem, record)
        tidy(run.out, old.difference(record.files))
    return ImageResult(
        image,
        record.cells,
        record.flagged,
        "",
        record.unfamiliar,
        skipped=skipped,
        scale=record.scale,
    )


def _times(files: Mapping[str, Path | None]) -> list[tuple[int, int]]:
    found = [path.stat() for path in files.values() if path and path.exists()]
    return [(status.st_mtime_ns, status.st_size) for status in found]


def _record(
    request: dict[str, Any], table: pd.DataFrame, out: Path, classifier: Classifier
) -> Record:
    import torch

    # as they lie there now: what another run may have written meanwhile is the same
    written = [out / name for name in table.attrs.get("files", ())]
    flagged = 0 if table.empty else int((table["status"] != "auto").sum())
    unfamiliar, compared = table.attrs.get("unfamiliar", (0, 0))
    return Record(
        request,
        len(table),
        flagged,
        (int(unfamiliar), int(compared)),
        {path.name: sha256(path) for path in written},
        result_hash(written),
        {"device": classifier.device.name, "threads": torch.get_num_threads()},
        table.attrs.get("scale", ""),
    )


def process_all(
    tasks: Sequence[ImageTask],
    run: BatchRun,
    *,
    workers: int = 0,
    scheduler: str = "",
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Generator[ImageResult, None, None]:
    """Yield the outcome of each image as it is done, or was done before.

    Where there was more than one image, the folder of results gets a list of all in
    `batch_record.SUMMARY` and of those that failed in `FAILED`; also when it is
    stopped, by closing it.

    Parameters
    ----------
    workers
        Local processes; 0 works in this process. A script that asks for them must hold
        its code under ``if __name__ == "__main__":``.
    scheduler
        Of a running dask cluster, instead of local processes: its address, or the file
        it wrote.
    progress
        Called with the number of cells done and of all of each image, where the work is
        done in this process; may raise `StoppedError`, which ends it all.

    Raises
    ------
    InputError
        When both are given, dask.distributed is missing, or nobody answers.
    """
    if workers and scheduler:
        raise InputError("Give --workers or --scheduler, not both.")
    names = result_names([task.image for task in tasks])
    calls = [(task, names[task.image], run) for task in tasks]
    done: dict[Path, ImageResult] = {}
    here = (classify_recorded(*call, progress) for call in calls)
    spread_out = workers or scheduler
    chosen = _outcomes(calls, run, workers, scheduler) if spread_out else here
    begun = not spread_out
    try:
        with closing(chosen) as outcomes:
            for outcome in outcomes:
                begun = True
                done[outcome.image] = outcome
                yield outcome
    finally:
        # also where it was stopped: the lists are of this run, not of an earlier one
        if begun and len(tasks) > 1:
            # each was reported already; a full disk may be why they failed
            with suppress(CytoDinoError, OSError):
                known = [done[t.image] for t in tasks if t.image in done]
                _list(known, run, elsewhere=bool(scheduler))


def _list(outcomes: Sequence[ImageResult], run: BatchRun, *, elsewhere: bool) -> None:
    """Write what became of the images, and those without a result once more."""
    failed = [(o.image, o.error) for o in outcomes if o.error]
    write_failures(list_path(run), failed)
    if not outcomes:
        list_path(run, SUMMARY).unlink(missing_ok=True)
        return
    unfamiliar, compared = (sum(o.unfamiliar[i] for o in outcomes) for i in (0, 1))
    # with the thresholds for the number type that was computed in
    checkpoint = open_checkpoint(run, elsewhere=elsewhere)
    accepted = sum(o.cells - o.flagged for o in outcomes)
    promise = checkpoint.guarantee_on((unfamiliar, compared), run.job.risk, accepted)
    rows = [(o.image, o.cells, o.flagged, *o.unfamiliar, o.error) for o in outcomes]
    write_summary(list_path(run, SUMMARY), rows, promise)


def list_path(run: BatchRun, name: str = FAILED) -> Path:
    """Return where a list of the images of a run lies."""
    part = f"-{run.part}" if run.part else ""
    return run.out / name.replace(".", f"{part}.")


def _outcomes(
    calls: Sequence[tuple[ImageTask, str, BatchRun]],
    run: BatchRun,
    workers: int,
    scheduler: str,
) -> Generator[ImageResult, None, None]:
    # reported at once, and so that no worker takes another checkpoint of the same name
    sha256 = load_checkpoint(run.checkpoint).sha256
    # a worker elsewhere was started in another folder
    run = replace(run, sha256=sha256, out=run.out.absolute())
    sent = [(_absolute(task), stem, run) for task, stem, _ in calls]
    count = max(1, min(workers, len(calls)))
    opened = connected(scheduler) if scheduler else local_cluster(count, run.threads)
    with opened as client:
        for number, result in spread(client, classify_recorded, sent):
            image = calls[number][0].image
            if isinstance(result, Lost):
                yield ImageResult(image, error=result.reason)
            else:
                yield replace(result, image=image)


def _absolute(task: ImageTask) -> ImageTask:
    return ImageTask(
        task.image.absolute(),
        task.labels and task.labels.absolute(),
        task.points and task.points.absolute(),
    )
