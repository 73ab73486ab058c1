"""What several commands ask for, in the same words."""

from pathlib import Path
from typing import Annotated

import typer

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
