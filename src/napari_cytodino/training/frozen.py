"""Cells as a frozen backbone sees them, for the probes of a comparison."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch.utils.data import DataLoader
from transformers import AutoModel

from napari_cytodino.core.model import build_backbone_config
from napari_cytodino.training.finetune_data import CellDataset
from napari_cytodino.training.finetune_model import backbone_of
from napari_cytodino.training.probes import Embedded
from napari_cytodino.training.trainer import to_views

if TYPE_CHECKING:
    from torch import nn

    from napari_cytodino.training.finetune_config import FinetuneRecipe
    from napari_cytodino.training.finetune_data import CellSet


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
