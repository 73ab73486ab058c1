"""The `napari-cytodino` command."""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from napari_cytodino import __version__
from napari_cytodino.common import RESEARCH_USE, CytoDinoError, InputError

app = typer.Typer(
    help=f"Classify blood and bone-marrow cells. {RESEARCH_USE}",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

Checkpoint = Annotated[
    str, typer.Option(help="A shipped name, a folder, or a Hugging Face Hub id.")
]

Out = Annotated[Path, typer.Option(help="Folder of the results; made when missing.")]

Device = Annotated[str, typer.Option(help="auto, cpu, cuda, mps or openvino.")]

Images = Annotated[
    list[Path],
    typer.Argument(help="Images, folders, or patterns in quotes ('**/*.tif')."),
]

Labels = Annotated[
    list[Path] | None, typer.Option(help="Label images, in the order of the images.")
]

Points = Annotated[
    Path | None, typer.Option(help="CSV with columns y, x and perhaps image.")
]

FieldOfView = Annotated[
    str | None,
    typer.Option(help="Side of a crop: image pixels, or micrometres as in 19.2um."),
]

PixelSize = Annotated[
    float | None,
    typer.Option(help="Micrometres a pixel; else the file's, else estimated."),
]

CellSize = Annotated[
    float | None,
    typer.Option(help="Diameter of a typical nucleated cell, in pixels."),
]

MOST_SCALES = 5
"""Scales of images that are printed, the commonest first."""

Sensitivity = Annotated[
    float, typer.Option(help="0 to 1: more finds fainter cells, and more mistakes.")
]

BatchSize = Annotated[
    int | None, typer.Option(help="Cells at a time; by itself what fits.", min=1)
]

Formats = Annotated[
    str, typer.Option("--format", help="csv, xlsx, parquet, geojson, h5ad; commas.")
]

Risk = Annotated[
    float | None, typer.Option(help="Most errors among accepted cells, such as 0.01.")
]

Scheduler = Annotated[
    str, typer.Option(help="Address of a dask scheduler, or the file it wrote.")
]

Shard = Annotated[
    str | None, typer.Option(help="Part i/n of the images, for job arrays.")
]

Threads = Annotated[
    int, typer.Option(help="Of each process; 0 shares the cores.", min=0)
]

Again = Annotated[bool, typer.Option("--again", help="Also what was done before.")]


@contextmanager
def _one_sentence() -> Iterator[None]:
    """Turn an error the user can act on into one sentence and exit code 2."""
    try:
        yield
    except CytoDinoError as error:
        typer.echo(f"Error: {error}", err=True)
        raise typer.Exit(2) from error


@contextmanager
def _bar(title: str, unit: str = "cell") -> Iterator[Callable[[int, int], None]]:
    """Show a progress bar with the time left on a terminal; give its callback."""
    from tqdm import tqdm

    with tqdm(desc=title, unit=unit, disable=None, leave=False) as bar:

        def update(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        yield update


def _has_display() -> bool:
    if sys.platform in ("darwin", "win32"):
        return True
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"napari-cytodino {__version__}")
        raise typer.Exit


@app.callback()
def main(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True)
    ] = False,
) -> None:
    """Classify blood and bone-marrow cells. For research use only."""


@app.command()
def demo(
    out: Out = Path("cytodino-demo"),
    headless: Annotated[bool, typer.Option(help="Write files, open nothing.")] = False,
) -> None:
    """Classify a SYNTHETIC smear in napari, or into files where no display is."""
    with _one_sentence():
        if headless or not _has_display():
            from napari_cytodino.batch import demo_files

            with _bar("demo") as progress:
                summary = demo_files(out, progress)
            typer.echo(f"{summary}\n{RESEARCH_USE}")
        else:
            _start_napari(None)


@app.command()
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

    with _one_sentence():
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
    with _bar("crops") as progress:
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
    _left_out({str(outcome.image): outcome.error for outcome in failed})
    if failed:
        typer.echo(f"{len(failed)} left out: {list_path(run)}", err=True)
    unfamiliar, compared = (sum(o.unfamiliar[i] for o in good) for i in (0, 1))
    return (unfamiliar, compared), sum(o.cells - o.flagged for o in good), len(failed)


def _left_out(errors: dict[str, str]) -> None:
    for image, error in errors.items():
        # a file name may be no valid text, which a terminal refuses
        name = os.fsencode(image).decode(errors="backslashreplace")
        typer.echo(f"Left out: {name}: {error}", err=True)


def _formats(text: str) -> tuple[str, ...]:
    from napari_cytodino.batch import FORMATS

    wanted = tuple(part.strip() for part in text.split(",") if part.strip())
    unknown = [part for part in wanted if part not in FORMATS]
    if unknown or not wanted:
        raise InputError(
            f"'{text}' names no export format; use {', '.join(FORMATS)}, with commas."
        )
    return wanted


@app.command()
def find(
    images: Annotated[list[Path], typer.Argument(help="Images, or folders of them.")],
    pixel_size: PixelSize = None,
    cell_size: CellSize = None,
    sensitivity: Sensitivity = 0.65,
    out: Out = Path("cytodino-out"),
) -> None:
    """Find nucleated cells and write a label image for each picture."""
    from napari_cytodino import batch

    with _one_sentence():
        files = batch.list_images(images, out)
        names, total, failed = batch.result_names(files), 0, {}
        for file in files:
            place = out / f"{names[file]}{batch.LABELS_SUFFIX}"
            try:
                with _bar(file.name, "tile") as progress:
                    step = batch.write_found(
                        file,
                        place,
                        pixel_size=pixel_size,
                        cell_size=cell_size,
                        sensitivity=sensitivity,
                        progress=progress,
                    )
            except InputError as error:
                failed[file] = error
                continue
            total += step.cells
            typer.echo(f"{file.name}: {step}")
        if len(failed) == len(files) == 1:
            raise failed[files[0]]
        good = len(files) - len(failed)
        typer.echo(f"{total} cells in {good} images. Label images: {out}")
        _left_out({str(file): str(error) for file, error in failed.items()})
    if failed:
        raise typer.Exit(2)


@app.command()
def checkpoints() -> None:
    """List the checkpoints that ship with the package."""
    from napari_cytodino.checkpoints import list_checkpoints

    with _one_sentence():
        for info in list_checkpoints():
            typer.echo(f"{info.name:10} {info.title}")


@app.command("open")
def open_image(
    image: Annotated[Path, typer.Argument(help="The image to open.")],
) -> None:
    """Start napari on an image, with the CytoDINO dock."""
    with _one_sentence():
        if not image.exists():
            raise InputError(f"There is no image {image}; check the path.")
        _start_napari(image)


def _start_napari(image: Path | None) -> None:
    try:
        import napari
    except ImportError as error:
        raise InputError(
            "napari is not installed; run: pip install 'napari-cytodino[all]', or use "
            "--headless."
        ) from error
    from napari_cytodino.widgets.commands import start

    start(napari, image)
