"""What frozen embeddings know: nearest neighbours and a linear layer, nothing else."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.utils.data import DataLoader
from transformers import AutoModel

from napari_cytodino.common import InputError
from napari_cytodino.models import build_backbone_config
from napari_cytodino.training.data import CellDataset
from napari_cytodino.training.finetuning import backbone_of, to_views

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import nn

    from napari_cytodino.training.data import CellSet
    from napari_cytodino.training.recipes import FinetuneRecipe


def frozen_backbone(recipe: FinetuneRecipe) -> nn.Module:
    """Build the recipe's backbone without adapters and head, ready to be read.

    Raises
    ------
    CytoDinoError
        When it cannot be had.
    """
    # random weights, where the recipe has them, are those that fine-tuning starts from
    torch.manual_seed(recipe.seed)
    fields, weights = backbone_of(recipe.backbone, recipe.size)
    backbone: nn.Module = AutoModel.from_config(build_backbone_config(fields))
    if weights:
        backbone.load_state_dict(weights)
    return backbone.eval().requires_grad_(False)


def embed_cells(
    backbone: nn.Module,
    cells: CellSet,
    recipe: FinetuneRecipe,
    device: torch.device | str = "cpu",
) -> Embedded:
    """Return the class token of each cell, (N, D), computed in float32.

    Cells are resized and normalised as for every other method, and not augmented.

    Parameters
    ----------
    backbone : nn.Module
        From `frozen_backbone`.
    cells : CellSet
        Read batch by batch.
    recipe : FinetuneRecipe
        Gives size, normalisation, batch and workers.
    device : torch.device or str
        Where to compute.
    """
    plan = recipe.run
    loader = DataLoader(
        CellDataset(cells), batch_size=plan.eval_batch, num_workers=plan.decoders
    )
    mean, std = (
        torch.tensor(values, device=device).view(1, 3, 1, 1)
        for values in (recipe.mean, recipe.std)
    )
    backbone = backbone.to(device)
    found = []
    with torch.inference_mode():
        for item in loader:
            views = to_views(item["pixels"].to(device), recipe.size)
            tokens = backbone(pixel_values=(views - mean) / std).last_hidden_state
            found.append(tokens[:, 0].cpu().numpy())
    return Embedded(np.concatenate(found), cells.targets)


NEIGHBOURS = (1, 20)
"""The k of DinoBloom's probes (arXiv 2404.05022; evaluation.py of its repository)."""

ASSUMED_CLASSES = 9
"""DinoBloom's code regularises by 100 / (D x 9), however many classes there are."""

MOST_STEPS = 1000
"""Of the linear probe's optimiser."""

LEAST_CHANCE = 1e-6
"""Given to a class no neighbour has, so that the logarithm is finite."""


@dataclass(frozen=True)
class Embedded:
    """Cells as a frozen model sees them.

    Attributes
    ----------
    embeddings : NDArray
        (N, D).
    targets : NDArray[np.int64]
        (N,) class indices; the same taxonomy for fitting and testing.

    Raises
    ------
    InputError
        When there is no cell, lengths differ, or a value is not finite.
    """

    embeddings: NDArray[Any]
    targets: NDArray[np.int64]

    def __post_init__(self) -> None:
        n = len(self.targets)
        if n == 0 or self.embeddings.ndim != 2 or len(self.embeddings) != n:
            raise InputError(
                f"Embeddings of shape {self.embeddings.shape} do not fit {n} targets; "
                "give one row a cell, and at least one cell."
            )
        if not np.isfinite(self.embeddings).all():
            raise InputError(f"Some of {n} embeddings are not finite; check the model.")

    @property
    def wide(self) -> NDArray[np.float32]:
        """The embeddings in float32, as they are."""
        return np.asarray(self.embeddings, np.float32)


def _check(known: Embedded, unknown: Embedded, classes: int) -> None:
    widths = known.embeddings.shape[1], unknown.embeddings.shape[1]
    if widths[0] != widths[1]:
        raise InputError(
            f"Embeddings of width {widths[0]} and {widths[1]} are of two models; use "
            "one for both."
        )
    for cells in (known, unknown):
        if cells.targets.min() < 0 or cells.targets.max() >= classes:
            raise InputError(
                f"Targets from {cells.targets.min()} to {cells.targets.max()} do not "
                f"fit {classes} classes; use one taxonomy."
            )


def neighbour_probe(
    known: Embedded, unknown: Embedded, classes: int, k: int
) -> NDArray[np.float32]:
    """Return log shares of the k nearest known cells of each class, shape (N, C).

    Distances are Euclidean on the embeddings as they are and every neighbour has one
    vote, as in DinoBloom. Among equal votes the class of the nearer neighbours wins;
    scikit-learn's classifier would take the first of the alphabet.

    Parameters
    ----------
    known, unknown : Embedded
        Cells with known classes, and cells to be classified.
    classes : int
        C, present among the known or not.
    k : int
        Neighbours; all known cells where there are fewer.
    """
    from sklearn.neighbors import NearestNeighbors

    _check(known, unknown, classes)
    k = min(k, len(known.targets))
    search = NearestNeighbors(n_neighbors=k).fit(known.wide)
    near = known.targets[search.kneighbors(unknown.wide, return_distance=False)]
    votes = (near[:, :, None] == np.arange(classes)).astype(np.float64)
    # too little to outvote anyone, enough to part equals by nearness
    weight = 1 + 1e-3 * (k - np.arange(k)) / k**2
    share = (votes * weight[None, :, None]).sum(axis=1)
    share = np.maximum(share / share.sum(axis=1, keepdims=True), LEAST_CHANCE)
    return np.asarray(np.log(share), np.float32)


def linear_probe(
    known: Embedded, unknown: Embedded, classes: int, strength: float | None = None
) -> NDArray[np.float32]:
    """Return log probabilities of multinomial logistic regression, shape (N, C).

    As DinoBloom's linear probe: lbfgs, at most 1,000 steps, L2 with C = D x 9 / 100,
    on the embeddings as they are.

    Parameters
    ----------
    known, unknown : Embedded
        Cells with known classes, and cells to be classified.
    classes : int
        C, present among the known or not; a class without known cells is never called.
    strength : float, optional
        scikit-learn's C, the inverse of regularisation; None takes DinoBloom's.
    """
    from sklearn.linear_model import LogisticRegression

    _check(known, unknown, classes)
    present = np.unique(known.targets)
    if len(present) < 2:
        raise InputError(
            f"All {len(known.targets)} known cells are of one class; a linear probe "
            "needs at least two."
        )
    width = known.embeddings.shape[1]
    c = width * ASSUMED_CLASSES / 100 if strength is None else strength
    model = LogisticRegression(C=c, max_iter=MOST_STEPS)
    model.fit(known.wide, known.targets)
    out = np.full((len(unknown.targets), classes), np.log(LEAST_CHANCE), np.float64)
    out[:, present] = np.maximum(
        model.predict_log_proba(unknown.wide), np.log(LEAST_CHANCE)
    )
    return np.asarray(out, np.float32)


def probe(
    known: Embedded, unknown: Embedded, classes: int
) -> dict[str, NDArray[np.float32]]:
    """Return the log probabilities of every probe, by its name.

    On one data set this is the baseline of a frozen backbone. For *transfer* the
    embeddings come from a model that was trained on another data set; known cells are
    the training part and unknown cells the test part of the new one. The model itself
    sees neither (the paper's zero-shot claim), the probe sees the known ones.

    Parameters
    ----------
    known, unknown : Embedded
        Embeddings of one model; parts of one split.
    classes : int
        C of the taxonomy.

    Returns
    -------
    dict
        Name -> (N, C), fit for `LabelledPredictions.logits`.

    Raises
    ------
    InputError
        When widths or classes do not fit, or all known cells are of one class.
    """
    found = {
        f"{k}-NN on frozen embeddings": neighbour_probe(known, unknown, classes, k)
        for k in NEIGHBOURS
    }
    found["linear probe on frozen embeddings"] = linear_probe(known, unknown, classes)
    return found
