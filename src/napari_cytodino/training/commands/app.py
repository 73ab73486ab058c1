"""The commands of `python -m napari_cytodino.training`."""

from __future__ import annotations

import logging
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from napari_cytodino.common import CytoDinoError, InputError

if TYPE_CHECKING:
    from collections.abc import Iterator

app = typer.Typer(
    help="Train and judge checkpoints. Research use only.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

Data = Annotated[
    Path | None, typer.Option("--data", help="Folder with cells.csv and the images.")
]

Out = Annotated[Path, typer.Option("--out", help="Folder for what is made.")]

Device = Annotated[str, typer.Option("--device", help="auto, cuda, mps or cpu.")]


@contextmanager
def _one_sentence() -> Iterator[None]:
    """Say what went wrong in one sentence, without a traceback."""
    try:
        yield
    except CytoDinoError as error:
        typer.echo(f"Error: {error}", err=True)
        raise typer.Exit(2) from error


@app.command()
def train(
    recipe: Annotated[str, typer.Argument(help="A recipe's name or TOML file.")],
    out: Out,
    data: Data = None,
    changes: Annotated[
        list[str] | None,
        typer.Option("--set", help="Replace a value, such as fit.steps=100."),
    ] = None,
    allow_inexact: Annotated[
        bool,
        typer.Option(
            "--allow-inexact-resume",
            help="Go on with other versions, devices or processes than before.",
        ),
    ] = False,
) -> None:
    """Train a checkpoint, taking up an interrupted run where it stopped."""
    from napari_cytodino.training.commands.origin import train as run
    from napari_cytodino.training.evaluation import figures_block

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    with _one_sentence():
        results = run(recipe, changes or (), data, out, allow_inexact=allow_inexact)
    if results:
        # of several processes only the first has figures
        typer.echo(figures_block(results))
        typer.echo(f"\nCheckpoint: {out / 'checkpoint'}")


@app.command()
def evaluate(
    checkpoint: Annotated[str, typer.Argument(help="A name, a folder or a Hub id.")],
    out: Out,
    data: Data = None,
    split: Annotated[
        Path | None,
        typer.Option("--split", help="Saved split of its run; else found beside it."),
    ] = None,
    device: Device = "auto",
) -> None:
    """Judge a checkpoint on the cells its run kept apart; write a report to read."""
    with _one_sentence():
        try:
            from napari_cytodino.training.commands.evaluate import evaluate_checkpoint

            text = evaluate_checkpoint(checkpoint, data, out, split, device=device)
        except ModuleNotFoundError as error:
            needed = error.name or error
            raise InputError(
                f"A report needs {needed}: pip install 'napari-cytodino[train]'."
            ) from error
    typer.echo(text)
    typer.echo(f"Report: {out / 'report.html'}")


@app.command()
def calibrate(
    checkpoint: Annotated[str, typer.Argument(help="A name, a folder or a Hub id.")],
    out: Out,
    data: Data = None,
    risk: Annotated[
        float | None,
        typer.Option("--risk", help="Most errors among accepted cells, such as 0.005."),
    ] = None,
    critical_risk: Annotated[
        float | None,
        typer.Option("--critical-risk", help="Most critical cells called harmless."),
    ] = None,
    delta: Annotated[
        float | None, typer.Option("--delta", help="Chance that a promise is wrong.")
    ] = None,
    own_cells: Annotated[
        bool,
        typer.Option("--own-cells", help="Cells of a laboratory nothing learnt from."),
    ] = False,
    taxonomy: Annotated[
        str, typer.Option("--taxonomy", help="Of own cells: a name or TOML file.")
    ] = "mll21",
    seed: Annotated[int, typer.Option("--seed", help="Of the deal of own cells.")] = 0,
    dtype: Annotated[
        str, typer.Option("--dtype", help="bfloat16 is added to float32.")
    ] = "float32",
    device: Device = "auto",
) -> None:
    """Measure what a checkpoint may promise; write a calibrated copy of it."""
    from napari_cytodino.checkpoints import DTYPE
    from napari_cytodino.training.commands.calibrate import calibrate as measure
    from napari_cytodino.training.commands.calibrate import calibrate_for
    from napari_cytodino.uncertainty import CalibrationTargets

    asked = {"risk": risk, "critical_risk": critical_risk, "delta": delta}
    given = {name: value for name, value in asked.items() if value is not None}
    own: dict[str, Any] = {"own_cells": own_cells, "taxonomy": taxonomy, "seed": seed}
    others = () if dtype == DTYPE else (dtype,)
    with _one_sentence():
        aims = CalibrationTargets(**given) if given else None
        if own_cells or not others:
            text = measure(
                checkpoint, data, out, aims=aims, also=others, device=device, **own
            )
        else:
            text = calibrate_for(dtype, checkpoint, data, out, aims, device=device)
    typer.echo(text)
    typer.echo(f"\nCheckpoint: {out / 'checkpoint'}")


@app.command()
def unknown(
    checkpoint: Annotated[str, typer.Argument(help="A folder of a run.")],
    data: Annotated[Path, typer.Option("--data", help="What its split was made from.")],
    out: Out,
    device: Device = "auto",
) -> None:
    """Count cells of classes left out of training that are accepted all the same."""
    from napari_cytodino.training.commands.unseen_classes import judge_unknown

    with _one_sentence():
        table = judge_unknown(checkpoint, data, out, device=device)
    typer.echo(table)


@app.command()
def transfer(
    checkpoint: Annotated[str, typer.Argument(help="A name, a folder or a Hub id.")],
    data: Annotated[
        Path, typer.Option("--data", help="Cells of another laboratory, any layout.")
    ],
    out: Out,
    taxonomy: Annotated[
        str, typer.Option("--taxonomy", help="Of those cells: a name or TOML file.")
    ] = "mll21",
    seed: Annotated[int, typer.Option("--seed", help="Of the split.")] = 0,
    device: Device = "auto",
) -> None:
    """Judge frozen embeddings on another data set, by neighbours and a linear layer."""
    from napari_cytodino.training.commands.transfer import transfer as measure

    with _one_sentence():
        page = measure(
            checkpoint, data, out, taxonomy=taxonomy, seed=seed, device=device
        )
    typer.echo(page)


@app.command()
def convert(
    weights: Annotated[Path, typer.Argument(help="A .pth file of DinoBloom.")],
    out: Annotated[Path, typer.Option("--out", help="A new folder.")],
) -> None:
    """Make a backbone folder of DinoBloom's published weights, without a network."""
    from napari_cytodino.training.commands.convert import convert_dinobloom

    with _one_sentence():
        folder = convert_dinobloom(weights, out)
    typer.echo(f"Backbone: {folder} (name it as backbone.source of a recipe)")


@app.command()
def compare(
    recipe: Annotated[str, typer.Argument(help="A recipe of fine-tuning.")],
    out: Out,
    data: Data = None,
    seeds: Annotated[
        list[str] | None, typer.Option("--seeds", help="Such as 0,1,2, the default.")
    ] = None,
    only: Annotated[
        list[str] | None,
        typer.Option("--only", help="A method to run; may be given several times."),
    ] = None,
    changes: Annotated[
        list[str] | None,
        typer.Option("--set", help="Replace a value, such as cnn.source=DIR."),
    ] = None,
    allow_inexact: Annotated[
        bool,
        typer.Option(
            "--allow-inexact-resume", help="Go on with other versions or devices."
        ),
    ] = False,
) -> None:
    """Train and score methods on one split; runs that are done are not done again."""
    from napari_cytodino.training.comparison import read_comparison, read_seeds
    from napari_cytodino.training.comparison import run as comparing

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    with _one_sentence():
        plan, cnn = read_comparison(recipe, changes or ())
        page = comparing.compare(
            plan,
            cnn,
            data,
            out,
            seeds=read_seeds(seeds) if seeds else comparing.SEEDS,
            only=only or (),
            allow_inexact=allow_inexact,
        )
    typer.echo(page)
    typer.echo(f"\nTables: {out / 'comparison.csv'}, .json and .md")
