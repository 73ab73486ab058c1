"""``napari-cytodino classify``: the cells of many images."""

import os
from collections import Counter
from pathlib import Path
from typing import Annotated, Any

import typer

from napari_cytodino.cli.options import (
    Again,
    BatchSize,
    CellSize,
    Checkpoint,
    Device,
    FieldOfView,
    Formats,
    Images,
    Labels,
    Out,
    PixelSize,
    Points,
    Risk,
    Scheduler,
    Shard,
    Threads,
)
from napari_cytodino.cli.output import bar, one_sentence, print_left_out
from napari_cytodino.common import RESEARCH_USE, InputError

MOST_SCALES = 5
"""Scales of images that are printed, the commonest first."""


def classify(
    images: Images,
    labels: Labels = None,
    points: Points = None,
    crops: Annotated[bool, typer.Option(help="Each image is one cell.")] = False,
    checkpoint: Checkpoint = "starter",
    field_of_view: FieldOfView = None,
    pixel_size: PixelSize = None,
    cell_size: CellSize = None,
    device: Device = "auto",
    dtype: Annotated[str, typer.Option(help="auto, float32 or bfloat16.")] = "auto",
    batch_size: BatchSize = None,
    formats: Formats = "csv",
    risk: Risk = None,
    out: Out = Path("cytodino-out"),
    workers: Annotated[int, typer.Option(help="Local processes.", min=0)] = 0,
    scheduler: Scheduler = "",
    shard: Shard = None,
    threads: Threads = 0,
    again: Again = False,
) -> None:
    """Classify the cells of images; without labels, points or crops they are found.

    What was done before is skipped: a run that was stopped goes on where it was.
    """
    if threads:
        # before the libraries that read it are loaded
        os.environ["OMP_NUM_THREADS"] = str(threads)
    from napari_cytodino import batch
    from napari_cytodino.inference import ClassifyOptions, read_field_of_view

    with one_sentence():
        _one_kind(labels, points, crops, shared=bool(workers or scheduler))
        field, microns = read_field_of_view(field_of_view)
        job = ClassifyOptions(
            field, device, batch_size, risk, dtype, microns, pixel_size, cell_size
        )
        part = (shard or "").replace("/", "-of-")
        run = batch.BatchRun(
            checkpoint, out, job, _formats(formats), again, threads, part=part
        )
        tasks = _tasks(images, out, labels, points, shard)
        # A wrong checkpoint or device is reported once, before any image is read.
        known = batch.open_checkpoint(run, elsewhere=bool(scheduler))
        if crops:
            done = _classify_crops(tasks, images, run)
        else:
            done = _classify_all(tasks, run, workers, scheduler)
        unfamiliar, accepted, left_out = done
        typer.echo(known.guarantee_on(unfamiliar, risk, accepted))
        if left_out:
            raise typer.Exit(2)


def _one_kind(
    labels: list[Path] | None, points: Path | None, crops: bool, *, shared: bool
) -> None:
    """Refuse cells of several kinds, and crops that several processes share."""
    if sum((bool(labels), points is not None, crops)) > 1:
        raise InputError("Give one of --labels, --points and --crops, not several.")
    if crops and shared:
        raise InputError(
            "With --crops one process writes one table; leave out --workers and "
            "--scheduler, or share the cells out with --shard."
        )


def _tasks(
    images: list[Path],
    out: Path,
    labels: list[Path] | None,
    points: Path | None,
    shard: str | None,
) -> list[Any]:
    """Return the images of this part, each with what is known of its cells."""
    from napari_cytodino import batch

    tasks = batch.pair_images(batch.list_images(images, out), labels or [], points)
    return batch.shard(tasks, shard) if shard else tasks


def _classify_crops(
    tasks: list[Any], folders: list[Path], run: Any
) -> tuple[tuple[int, int], int, int]:
    """Classify single cells; return unfamiliar of how many, accepted, none left out."""
    from napari_cytodino.batch import crops_stem, process_all_crops

    if not tasks:
        typer.echo(f"No cell is in part {run.part}; nothing is written.")
        return (0, 0), 0, 0
    files = [task.image for task in tasks]
    with bar("crops") as progress:
        done = process_all_crops(files, run, folders=folders, progress=progress)
    typer.echo(
        f"{done.cells} cells, {done.flagged} of them flagged for an expert"
        f"{'; done before and skipped' if done.skipped else ''}. "
        f"Table: {run.out / f'{crops_stem(run)}.{run.formats[0]}'}\n{RESEARCH_USE}"
    )
    return done.unfamiliar, done.cells - done.flagged, 0


def _classify_all(
    tasks: list[Any], run: Any, workers: int, scheduler: str
) -> tuple[tuple[int, int], int, int]:
    """Classify images; return unfamiliar of how many, accepted, and images left out."""
    from tqdm import tqdm

    from napari_cytodino.batch import digest, list_path, process_all

    outcomes = process_all(tasks, run, workers=workers, scheduler=scheduler)
    done = list(tqdm(outcomes, total=len(tasks), unit="image", disable=None))
    failed = [outcome for outcome in done if outcome.error]
    if len(failed) == len(tasks) == 1:
        raise InputError(failed[0].error)
    good = [outcome for outcome in done if not outcome.error]
    empty = sum(outcome.cells == 0 for outcome in good)
    skipped = sum(outcome.skipped for outcome in good)
    typer.echo(
        f"{sum(o.cells for o in good)} cells in {len(good)} images, "
        f"{sum(o.flagged for o in good)} of them flagged for an expert; {empty} images "
        f"hold no cell; {skipped} were done before and skipped. Results: {run.out}\n"
        f"Digest of the results: {digest(run.out)}\n{RESEARCH_USE}"
    )
    scales = Counter(outcome.scale for outcome in good if outcome.scale)
    for scale, images in scales.most_common(MOST_SCALES):
        typer.echo(f"Scale: {scale}{f'; {images} images' if images > 1 else ''}")
    print_left_out({str(outcome.image): outcome.error for outcome in failed})
    if failed:
        typer.echo(f"{len(failed)} left out: {list_path(run)}", err=True)
    unfamiliar, compared = (sum(o.unfamiliar[i] for o in good) for i in (0, 1))
    return (unfamiliar, compared), sum(o.cells - o.flagged for o in good), len(failed)


def _formats(text: str) -> tuple[str, ...]:
    from napari_cytodino.batch import FORMATS

    wanted = tuple(part.strip() for part in text.split(",") if part.strip())
    unknown = [part for part in wanted if part not in FORMATS]
    if unknown or not wanted:
        raise InputError(
            f"'{text}' names no export format; use {', '.join(FORMATS)}, with commas."
        )
    return wanted
