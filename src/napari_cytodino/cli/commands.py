"""The `napari-cytodino` command."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from napari_cytodino import __version__
from napari_cytodino.cli.classify import classify
from napari_cytodino.cli.options import CellSize, Out, PixelSize, Sensitivity
from napari_cytodino.cli.output import bar, one_sentence, print_left_out
from napari_cytodino.cli.teach import teach
from napari_cytodino.common import RESEARCH_USE, InputError

app = typer.Typer(
    help=f"Classify blood and bone-marrow cells. {RESEARCH_USE}",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

app.command()(classify)
app.command()(teach)


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
    with one_sentence():
        if headless or not _has_display():
            from napari_cytodino.batch import demo_files

            with bar("demo") as progress:
                summary = demo_files(out, progress)
            typer.echo(f"{summary}\n{RESEARCH_USE}")
        else:
            _start_napari(None)


@app.command()
def find(
    images: Annotated[list[Path], typer.Argument(help="Images, or folders of them.")],
    pixel_size: PixelSize = None,
    cell_size: CellSize = None,
    sensitivity: Sensitivity = 0.75,
    out: Out = Path("cytodino-out"),
) -> None:
    """Find nucleated cells and write a label image for each picture."""
    from napari_cytodino import batch

    with one_sentence():
        files = batch.list_images(images, out)
        names, total, failed = batch.result_names(files), 0, {}
        for file in files:
            place = out / f"{names[file]}{batch.LABELS_SUFFIX}"
            try:
                with bar(file.name, "tile") as progress:
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
        print_left_out({str(file): str(error) for file, error in failed.items()})
    if failed:
        raise typer.Exit(2)


@app.command()
def checkpoints() -> None:
    """List the checkpoints that ship with the package, and your own profiles."""
    from napari_cytodino.checkpoints import list_checkpoints

    with one_sentence():
        for info in list_checkpoints():
            typer.echo(f"{info.name:10} {info.title}")


@app.command("open")
def open_image(
    image: Annotated[Path, typer.Argument(help="The image to open.")],
) -> None:
    """Start napari on an image, with the CytoDINO dock."""
    with one_sentence():
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
