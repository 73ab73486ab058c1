"""Every method of a comparison on one split, with several seeds, taken up at will."""

from __future__ import annotations

import gc
import logging
import shutil
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import torch
from accelerate.utils import set_seed

from napari_cytodino.common import InputError, write_json
from napari_cytodino.training.comparison._cnn import (
    RANDOM,
    WholeTrainer,
    find_network,
    new_network,
    start_of,
)
from napari_cytodino.training.comparison._summary import (
    METRICS,
    RUNS,
    gather,
    scores_of,
    write_tables,
)
from napari_cytodino.training.comparison.methods import choose, methods
from napari_cytodino.training.comparison.probes import (
    embed_cells,
    frozen_backbone,
    linear_probe,
    neighbour_probe,
)
from napari_cytodino.training.data import CellDataset, epoch_order
from napari_cytodino.training.finetuning import (
    STATES,
    WEIGHTS,
    arguments,
    best_state,
    exact_kernels,
    load_parts,
    loss_of,
    make_trainer,
    run_facts,
)
from napari_cytodino.training.runs import TrainingError, bind_run

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_cytodino.training.comparison.methods import CnnPlan, Method
    from napari_cytodino.training.comparison.probes import Embedded
    from napari_cytodino.training.data import CellSet
    from napari_cytodino.training.finetuning import FinetuneTrainer, Parts
    from napari_cytodino.training.recipes import FinetuneRecipe


logger = logging.getLogger(__name__)

SEEDS = (0, 1, 2)
"""Where none are chosen."""


@dataclass(frozen=True)
class ComparisonContext:
    """What all methods of a comparison have in common.

    Attributes
    ----------
    recipe : FinetuneRecipe
        Its seed decided the split; each run has its own.
    parts : Parts
        The one split: the same object for every run.
    cnn : CnnPlan
        The other network.
    device : torch.device
        Where to compute.
    """

    recipe: FinetuneRecipe
    parts: Parts
    cnn: CnnPlan
    device: torch.device

    @property
    def start_of_backbone(self) -> str:
        """What the transformer starts from, in words."""
        return self.recipe.backbone.source or RANDOM

    @property
    def start_of_network(self) -> str:
        """What the CNN starts from, in words."""
        return self.cnn.source if self.network else RANDOM

    @cached_property
    def network(self) -> Path | None:
        """The folder of the pretrained CNN, looked for once."""
        return find_network(self.cnn)

    @cached_property
    def embedded(self) -> tuple[Embedded, Embedded]:
        """Training cells and judged cells in one pass, for all probes."""
        backbone = frozen_backbone(self.recipe)
        known, unknown = (
            embed_cells(backbone, cells, self.recipe, self.device)
            for cells in (self.parts.train, self.parts.judged)
        )
        return known, unknown


def _neighbours(
    bench: ComparisonContext, method: Method, seed: int, folder: Path
) -> NDArray[Any]:
    classes = len(bench.recipe.classes_in_order)
    return neighbour_probe(*bench.embedded, classes, method.neighbours)


def _linear(
    bench: ComparisonContext, method: Method, seed: int, folder: Path
) -> NDArray[Any]:
    return linear_probe(*bench.embedded, len(bench.recipe.classes_in_order))


def _vit(
    bench: ComparisonContext, method: Method, seed: int, folder: Path
) -> NDArray[Any]:
    recipe = method.recipe(bench.recipe, seed)
    trainer = make_trainer(recipe, bench.parts, arguments(recipe, folder))
    return _answers(trainer, bench.parts.judged)


def _cnn(
    bench: ComparisonContext, method: Method, seed: int, folder: Path
) -> NDArray[Any]:
    recipe = method.recipe(bench.recipe, seed)
    train, plan = bench.parts.train, recipe.sampling

    def order(epoch: int) -> NDArray[Any]:
        return epoch_order(
            train.targets,
            epoch=epoch,
            power=plan.power,
            multiplier=plan.multiplier,
            seed=seed,
        )

    classes = len(recipe.classes_in_order)
    trainer = WholeTrainer(
        recipe,
        new_network(bench.cnn, bench.network, classes, seed),
        loss_of(recipe, train.targets),
        order,
        train,
        bench.parts.selection,
        arguments(recipe, folder),
    )
    set_seed(seed, device_specific=True)
    return _answers(trainer, bench.parts.judged)


def _answers(trainer: FinetuneTrainer, cells: CellSet) -> NDArray[Any]:
    """Train to the end, from wherever it stopped; return the best epoch's logits."""
    trainer.run()
    logits: NDArray[Any] = trainer.predict(CellDataset(cells)).predictions
    return logits


METHODS: dict[str, Callable[[ComparisonContext, Method, int, Path], NDArray[Any]]] = {
    "neighbours": _neighbours,
    "linear": _linear,
    "cnn": _cnn,
    "vit": _vit,
}
"""How each method answers for the judged cells: logits (N, C)."""


def run_method(
    bench: ComparisonContext, method: Method, seed: int, folder: Path
) -> None:
    """Run one method with one seed, unless it left its figures already.

    Parameters
    ----------
    bench : Bench
        Cells and recipe.
    method : Arm
        The method.
    seed : int
        Of weights, order, augmentation and dropout.
    folder : Path
        Gets ``metrics.json`` at the end, and before that the states of training; of
        these only the best weights stay.
    """
    is_cnn = method.method == "cnn"
    facts: dict[str, Any] = {"changes": method.changes}
    if is_cnn:
        # where its weights lie may change, which they are may not
        shape = asdict(replace(bench.cnn, source="", revision=""))
        facts |= {"cnn": shape, "start": start_of(bench.network)}
    folder.mkdir(parents=True, exist_ok=True)
    bind_run(folder.parent, facts)
    states = folder / STATES
    if not (folder / METRICS).is_file():
        logger.info("%s, seed %d", method.title, seed)
        logits = METHODS[method.method](bench, method, seed, folder)
        start = bench.start_of_network if is_cnn else bench.start_of_backbone
        content = {"starts_from": start, "seed": seed} | scores_of(
            bench.parts.judged.targets,
            logits.argmax(axis=1),
            bench.recipe.classes_in_order,
        )
        if states.is_dir():
            shutil.copy2(best_state(states) / WEIGHTS, folder / WEIGHTS)
        write_json(folder / METRICS, content)
    shutil.rmtree(states, ignore_errors=True)


def compare(
    recipe: FinetuneRecipe,
    cnn: CnnPlan,
    data: Path | None,
    out: Path,
    *,
    seeds: Sequence[int] = SEEDS,
    only: Sequence[str] = (),
    allow_inexact: bool = False,
) -> str:
    """Train and score methods on one split, or take up what ``out`` holds already.

    A run that left its figures is not done again, one that was killed goes on, so
    that a comparison can be made piece by piece, by several jobs in one folder too.

    Parameters
    ----------
    recipe, cnn
        From `baselines.read_comparison`.
    data : Path, optional
        Folder of the cells; a synthetic recipe needs none.
    out : Path
        Folder for the split, the runs and the tables.
    seeds : sequence of int
        One run each, of the methods in which something is by chance.
    only : sequence of str
        Names of the methods to run; all without any. Tables list all of them.
    allow_inexact : bool
        Go on with another device or other versions, which changes the last bits.

    Returns
    -------
    str
        The table in Markdown, which is also in ``comparison.md``; numbers are in
        ``comparison.json`` and ``comparison.csv``.

    Raises
    ------
    CytoDinoError
        When the folder was started with another recipe or split, or a run had to stop.
    """
    if not seeds or min(seeds) < 0 or len(set(seeds)) != len(seeds):
        raise InputError(f"Seeds are {list(seeds)}: give different ones from 0 on.")
    out = out.resolve()
    known = methods(cnn)
    chosen = choose(known, only)
    args = arguments(recipe, out)
    if args.world_size > 1:
        raise InputError(
            f"A comparison runs in one process, not {args.world_size}: start several "
            "with their own --only or --seeds, once the first has saved the split."
        )
    try:
        out.mkdir(parents=True, exist_ok=True)
        bench = ComparisonContext(
            recipe, load_parts(recipe, data, out), cnn, args.device
        )
        facts = run_facts(recipe, bench.parts, args)
        bind_run(out, facts, allow_inexact=allow_inexact)
        with exact_kernels(torch.cuda.is_available()):
            for method in chosen:
                for seed in seeds if method.by_chance else (recipe.seed,):
                    run_method(
                        bench, method, seed, out / RUNS / method.name / f"seed-{seed}"
                    )
                    # a trainer is a circle of references that holds device memory
                    gc.collect()
        return write_tables(out, gather(out, known, recipe, bench.parts))
    except OSError as error:
        raise TrainingError(
            f"{error.filename or out} cannot be read or written ({error.strerror}): "
            "mend that and run the same again; what is done is kept."
        ) from error
    except torch.OutOfMemoryError as error:
        raise TrainingError(
            f"The device has too little memory for run.batch = {recipe.run.batch} or "
            f"cnn.batch = {cnn.batch} cells at once: lower it, in an empty folder."
        ) from error
