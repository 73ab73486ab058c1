"""``napari-cytodino teach``: a laboratory's own cells."""

from pathlib import Path
from typing import Annotated

import typer

from napari_cytodino.cli.options import Checkpoint, Device
from napari_cytodino.cli.output import bar, one_sentence
from napari_cytodino.common import RESEARCH_USE


def teach(
    taught: Annotated[
        list[Path],
        typer.Argument(help="Class folders, a table, or records of reviewed cases."),
    ],
    checkpoint: Checkpoint = "starter",
    out: Annotated[Path, typer.Option(help="Folder of the profile.")] = Path("my-lab"),
    field_of_view: Annotated[
        float | None, typer.Option(help="Side of what the model sees, in image pixels.")
    ] = None,
    new_class: Annotated[
        list[str] | None,
        typer.Option(help="A class of your own: CODE=Name, or CODE=Name=lineage."),
    ] = None,
    device: Device = "auto",
) -> None:
    """Teach a checkpoint with a laboratory's own cells; write a profile to use."""
    with one_sentence():
        from napari_cytodino.training.teaching import classes_of, teach_files

        with bar("teach") as progress:
            outcome = teach_files(
                taught,
                checkpoint,
                out,
                field_of_view=field_of_view,
                new_classes=classes_of(new_class or [], checkpoint),
                device=device,
                progress=progress,
            )
        typer.echo("\n".join(outcome.lines))
        typer.echo(f"Profile: {out}\n{RESEARCH_USE}")
