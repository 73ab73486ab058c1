"""Measure inference side by side: ``python benchmarks/inference.py``."""

from __future__ import annotations

import argparse
import copy
import json
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from PIL import Image
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode
from transformers import ViTImageProcessorPil, pipeline
from transformers.utils import logging as transformers_logging

from napari_cytodino.cells.crops import CropStack
from napari_cytodino.checkpoints.adapters import merge_lora
from napari_cytodino.checkpoints.checkpoint import load_checkpoint
from napari_cytodino.checkpoints.folder import Preprocessing
from napari_cytodino.checkpoints.saving import save_checkpoint
from napari_cytodino.common.errors import InputError
from napari_cytodino.inference.classification import classify
from napari_cytodino.inference.classifier import Classifier, preprocess
from napari_cytodino.inference.devices import bfloat16_is_faster
from napari_cytodino.synthetic.smear import synthetic_crops
from napari_cytodino.taxonomy.taxonomy import Taxonomy
from napari_cytodino.training.distillation.pipeline import read_part
from napari_cytodino.training.finetuning.model import new_model
from napari_cytodino.training.recipes.distillation import load_recipe
from napari_cytodino.training.recipes.finetuning import FinetuneRecipe
from napari_cytodino.training.recipes.reading import build, read_recipe
from napari_cytodino.uncertainty.decisions import DecisionPolicy

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_cytodino.checkpoints.checkpoint import Checkpoint

PROTOCOL = """\
Protocol
  Cells a second from uint8 crops in memory to logits, {shape} + head at 256 px, random
  weights (speed does not depend on them), {name}. All ways alternate in
  one run, {rounds} rounds in random order; x is the median over rounds of the ratio to
  the published way, one and eight at a time.
  published   as domain.md 1.3 describes the published code: adapters not merged,
              float32, the decoder head of torch, one cell at a time; then eight.
  pipeline    transformers' image-classification pipeline on the merged model, eight.
  plugin      `Classifier` of this package, eight at a time on a CPU.
"""

LINEAR = torch.ops.mkldnn._linear_pointwise

SHAPES = {
    "ViT-S/16": {"width": 384, "layers": 12, "heads": 6, "feed_forward": 1536},
    "ViT-B/16": {"width": 768, "layers": 12, "heads": 12, "feed_forward": 3072},
    "ViT-L/16": {"width": 1024, "layers": 24, "heads": 16, "feed_forward": 4096},
}


def adapted_model(shape: str) -> Any:
    """Return backbone, adapters that do something, and head, on random weights."""
    content, file = read_recipe("mll21-vits16", [])
    kept = {k: v for k, v in content["backbone"].items() if k != "source"}
    content["backbone"] = kept | {"random": {**SHAPES[shape], "registers": 4}}
    model = new_model(build(FinetuneRecipe, content, file)).eval()
    for name, value in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(value, std=0.02)
    return model


def stored(adapted: Any, folder: Path) -> Checkpoint:
    """Store the merged model as a checkpoint and open it again."""
    merged = merge_lora(adapted)
    taxonomy = merged.config.taxonomy
    mean, std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    save_checkpoint(
        folder,
        merged,
        Taxonomy.from_dict(taxonomy),
        Preprocessing(256, 256.0, mean, std),
        DecisionPolicy(),
        "# Random\n",
        half=False,
    )
    return load_checkpoint(folder)


def ways(adapted: Any, checkpoint: Checkpoint, device: str) -> dict[str, Any]:
    """Return what is compared: each takes crops (N, S, S, 3), gives logits (N, C)."""
    adapted = adapted.to(device)

    def published(batch: int) -> Callable[[np.ndarray], np.ndarray]:
        def run(crops: np.ndarray) -> np.ndarray:
            with torch.no_grad():
                return np.concatenate(
                    [
                        adapted.predict(
                            preprocess(crops[i : i + batch], checkpoint, device)
                        )[0].cpu()
                        for i in range(0, len(crops), batch)
                    ]
                )

        return run

    found: dict[str, Any] = {
        "published, 1 at a time": published(1),
        "published, 8 at a time": published(8),
        "transformers pipeline": through_pipeline(checkpoint, device),
    }
    types = ["float32"] + ["bfloat16"] * bfloat16_is_faster(device)
    kinds = [device, "openvino"] if device == "cpu" else [device]
    for kind in kinds:
        for dtype in types:
            try:
                classifier = Classifier(checkpoint, kind, dtype=dtype)
            except InputError as error:
                print(f"  left out: {error}")
                continue
            name = "plugin" if kind == device else f"plugin, {kind}"
            found[f"{name}, {dtype}"] = lambda crops, c=classifier: c._run_batches(
                crops
            )[0]
    return found


def through_pipeline(checkpoint: Checkpoint, device: str) -> Any:
    """Return the obvious way of someone who knows transformers."""
    model, want = checkpoint.model(), checkpoint.preprocessing
    model.config.id2label = dict(enumerate(checkpoint.taxonomy.codes))
    processor = ViTImageProcessorPil(
        size={"height": want.size, "width": want.size},
        image_mean=list(want.mean),
        image_std=list(want.std),
    )
    classes = len(checkpoint.taxonomy)
    pipe = pipeline(
        "image-classification", model=model, image_processor=processor, device=device
    )

    def run(crops: np.ndarray) -> np.ndarray:
        answers = pipe([Image.fromarray(c) for c in crops], top_k=classes, batch_size=8)
        place = {code: i for i, code in enumerate(checkpoint.taxonomy.codes)}
        logits = np.zeros((len(crops), classes), np.float32)
        for row, answer in enumerate(answers):
            for item in answer:
                logits[row, place[item["label"]]] = np.log(item["score"] + 1e-30)
        return logits

    return run


def matrix_rate(dtype: torch.dtype, device: str, side: int) -> float:
    """Return FLOP a second of a product of two square matrices, best of five."""
    a, b = (torch.randn(side, side, device=device).to(dtype) for _ in range(2))
    best = np.inf
    for _ in range(6):
        start = time.perf_counter()
        torch.mm(a, b)
        if device == "cuda":
            torch.cuda.synchronize()
        best = min(best, time.perf_counter() - start)
    return 2 * side**3 / best


def linear_flops(x: torch.Size, weight: torch.Size, *_: Any, **__: Any) -> int:
    """Return what oneDNN's projection computes, of which the counter knows nothing."""
    return 2 * x.numel() * weight[0]


def flops(run: Callable[[], object]) -> float:
    """Return what one call computes, two for each multiplication and addition."""
    # the counter does not know the CPU's attention kernel, but its plain products
    plain = sdpa_kernel(SDPBackend.MATH)
    counter = FlopCounterMode(display=False, custom_mapping={LINEAR: linear_flops})
    with torch.no_grad(), plain, counter:
        run()
    return float(counter.get_total_flops())


def side_by_side(
    found: dict[str, Any], crops: np.ndarray, rounds: int
) -> tuple[dict[str, list[float]], dict[str, np.ndarray]]:
    """Return cells a second of each way and round, and the logits of each way."""
    order = list(found)
    logits = {name: run(crops[:8]) for name, run in found.items()}
    rates: dict[str, list[float]] = {name: [] for name in order}
    rng = np.random.default_rng(0)
    for _ in range(rounds):
        for name in rng.permutation(order):
            start = time.perf_counter()
            found[name](crops)
            rates[name].append(len(crops) / (time.perf_counter() - start))
    return rates, logits


def agreement(data: Path, most: int) -> dict[str, float]:
    """Compare the starter's answers to real cells in each way with float32."""
    crops = read_part(load_recipe("starter"), data, ("test",), packed=False)
    rows = np.sort(np.random.default_rng(0).permutation(len(crops))[:most])
    pixels = np.ascontiguousarray(crops.pixels[rows])
    starter = load_checkpoint("starter")
    found: dict[str, float] = {}
    tables = {}
    for kind, dtype in (
        ("cpu", "float32"),
        ("cpu", "bfloat16"),
        ("openvino", "float32"),
        ("openvino", "bfloat16"),
    ):
        try:
            classifier = Classifier(starter, kind, dtype=dtype)
        except InputError as error:
            print(f"  left out: {error}")
            continue
        tables[kind, dtype] = classify(CropStack(pixels), None, classifier=classifier)
    own = tables.pop(("cpu", "float32"))
    for (kind, dtype), table in tables.items():
        same = (table["cell_class"] == own["cell_class"]).to_numpy()
        slipped = ~same & (table["status"] == "auto").to_numpy()
        first, second = (f.filter(like="p_").to_numpy(float) for f in (own, table))
        apart = np.nanmax(np.abs(first - second))
        accepted = [(f["status"] == "auto").mean() for f in (own, table)]
        print(
            f"  {kind}, {dtype}: classes equal {same.sum()}/{len(same)} = "
            f"{same.mean():.4f}; of {(~same).sum()} others {slipped.sum()} accepted "
            f"without review; accepted {accepted[1]:.3f} (float32 {accepted[0]:.3f}); "
            f"probabilities differ by {apart:.4f} at most"
        )
        found[f"agreement, {kind}, {dtype}"] = float(same.mean())
        found[f"accepted of others, {kind}, {dtype}"] = float(slipped.sum())
    return found


def speed(given: argparse.Namespace) -> dict[str, float]:
    """Print the table of speeds; return its figures."""
    device = given.device
    name = torch.cuda.get_device_name() if device == "cuda" else "CPU"
    name += "" if device == "cuda" else f" of {torch.get_num_threads()} threads"
    # the pipeline does not know the model's name, but runs it
    transformers_logging.set_verbosity_error()
    print(PROTOCOL.format(shape=given.shape, name=name, rounds=given.rounds))
    adapted = adapted_model(given.shape).requires_grad_(False)
    crops, _ = synthetic_crops(("NGS", "LYT"), given.cells // 2, size=256, seed=0)
    crops = np.ascontiguousarray(crops)
    with tempfile.TemporaryDirectory() as folder:
        checkpoint = stored(copy.deepcopy(adapted), Path(folder) / "random")
        found = ways(adapted, checkpoint, device)
        rates, logits = side_by_side(found, crops, given.rounds)
        plain = Classifier(checkpoint, device, dtype="float32")
        one = preprocess(crops[:1], checkpoint, device)
        work = {
            "published": flops(lambda: adapted.predict(one)),
            "plugin": flops(lambda: plain._model.predict(one)),
        }
    return told(rates, logits, work, device, given)


def told(
    rates: dict[str, list[float]],
    logits: dict[str, np.ndarray],
    work: dict[str, float],
    device: str,
    given: argparse.Namespace,
) -> dict[str, float]:
    """Print the table and return its figures."""
    side = 8192 if device == "cuda" else 2048
    kinds = {"float32": torch.float32, "bfloat16": torch.bfloat16}
    usable = {
        k: v for k, v in kinds.items() if k == "float32" or bfloat16_is_faster(device)
    }
    peak = {k: matrix_rate(v, device, side) for k, v in usable.items()}
    print(
        f"FLOP a cell: published {work['published'] / 1e9:.2f} G, plugin "
        f"{work['plugin'] / 1e9:.2f} G; matrix products of {side}: "
        + ", ".join(f"{k} {v / 1e9:.0f} GFLOP/s" for k, v in peak.items())
    )
    first = next(iter(rates))
    out = {f"matrix rate, {k}": v for k, v in peak.items()} | {
        f"FLOP a cell, {k}": v for k, v in work.items()
    }
    print(f"{'way':30} {'cells/s':>8} {'x 1':>6} {'x 8':>6}  share of rate  max dlogit")
    base = np.array(rates["published, 8 at a time"])
    for name, own in rates.items():
        rate = float(np.median(own))
        x1 = float(np.median(np.array(own) / np.array(rates[first])))
        x8 = float(np.median(np.array(own) / base))
        kind = "bfloat16" if "bfloat16" in name else "float32"
        each = work["plugin" if name.startswith("plugin") else "published"]
        share = rate * each / peak[kind]
        apart = np.abs(logits[name] - logits[first]).max()
        shown = f"{apart:.1e}" if "pipeline" not in name else "(probabilities)"
        print(f"{name:30} {rate:8.2f} {x1:6.2f} {x8:6.2f}  {share:13.0%}  {shown}")
        out |= {f"{name}, cells/s": rate, f"{name}, x1": x1, f"{name}, x8": x8}
    print(f"n = {given.cells} cells a round, {given.rounds} rounds")
    return out


def main() -> None:
    """Print protocol, table and agreement."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shape", choices=SHAPES, default="ViT-S/16")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--cells", type=int, default=24)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--data", type=Path, help="real cells, for the agreement")
    parser.add_argument("--most", type=int, default=3229, help="real cells at most")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    figures = speed(given) if given.rounds else {}
    if given.data:
        print("Agreement of the shipped starter with float32, test part of its split")
        figures |= agreement(given.data, given.most)
    if given.json:
        given.json.write_text(json.dumps(figures, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
