"""The commands `train` and `evaluate`."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Annotated

import typer

from napari_cytodino.core.errors import CytoDinoError, InputError

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


def _fail(error: CytoDinoError) -> typer.Exit:
    typer.echo(f"Error: {error}", err=True)
    return typer.Exit(2)


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
    from napari_cytodino.training.card import figures_block
    from napari_cytodino.training.config import Recipe, build, read_recipe
    from napari_cytodino.training.experiment import train_recipe

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    try:
        content, name = read_recipe(recipe, changes or ())
        if "backbone" in content:
            from napari_cytodino.training.finetune import finetune
            from napari_cytodino.training.finetune_config import FinetuneRecipe

            plan = build(FinetuneRecipe, content, name)
            results = finetune(plan, data, out, allow_inexact=allow_inexact)
        else:
            results = train_recipe(build(Recipe, content, name), data, out)
    except CytoDinoError as error:
        raise _fail(error) from error
    if results:
        # of several processes only the first has figures
        typer.echo(figures_block(results))
        typer.echo(f"\nCheckpoint: {out / 'checkpoint'}")


@app.command()
def evaluate(
    checkpoint: Annotated[str, typer.Argument(help="A name, a folder or a Hub id.")],
    out: Out,
    data: Data = None,
) -> None:
    """Print the figures of a checkpoint's test part, and compare them with its card."""
    from napari_cytodino.core.checkpoint import load_checkpoint
    from napari_cytodino.core.checkpoint_files import read_json, write_json
    from napari_cytodino.training.card import figures_block, figures_of
    from napari_cytodino.training.config import load_recipe
    from napari_cytodino.training.evaluation import evaluate_crops
    from napari_cytodino.training.experiment import read_part
    from napari_cytodino.training.splits import split_sha256

    try:
        loaded = load_checkpoint(checkpoint)
        facts = read_json(loaded.folder / "calibration.json")
        recipe = load_recipe(str(facts.get("recipe", "")))
        digest = split_sha256(recipe.split_path) if recipe.split else ""
        if digest != facts.get("split_sha256"):
            raise InputError(
                f"'{checkpoint}' was trained on another split than {recipe.split}: "
                "evaluate it with the version of the package that made it."
            )
        cells = read_part(recipe, data, ("test",), packed=False)
        results = evaluate_crops(loaded, cells)
    except CytoDinoError as error:
        raise _fail(error) from error
    block = figures_block(results)
    out.mkdir(parents=True, exist_ok=True)
    write_json(out / "metrics.json", results)
    (out / "figures.md").write_text(block + "\n", encoding="utf-8")
    typer.echo(block)
    same = block == figures_of(loaded.card)
    typer.echo(f"\nThe model card says {'the same' if same else 'something else'}.")
