"""Transfer: what a checkpoint's frozen embeddings know of another data set."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_cytodino.core.checkpoint import load_checkpoint
from napari_cytodino.core.checkpoint_files import write_json
from napari_cytodino.core.taxonomy import Taxonomy
from napari_cytodino.training.data import pack
from napari_cytodino.training.evaluation import stored_answers
from napari_cytodino.training.inspection import inspect_files
from napari_cytodino.training.layouts import data_root, read_cells
from napari_cytodino.training.metrics import figures
from napari_cytodino.training.probes import Embedded, probe
from napari_cytodino.training.splits import load_or_make_split

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_cytodino.core.checkpoint import Checkpoint
    from napari_cytodino.training.data import CellFile

KNOWN = ("train", "calibration-a", "calibration-b")
"""Parts whose classes the probes are told; the model itself is told nothing."""

PROTOCOL = (
    "The model is frozen and was not trained on these cells; probes learn from the "
    "{known} cells outside the test part and are judged on its {unknown}. Nothing is "
    "chosen on the test part."
)


def transfer(
    source: str, data: Path, out: Path, *, taxonomy: str = "mll21", seed: int = 0
) -> str:
    """Embed another laboratory's cells and judge probes on them.

    The paper claims that its embeddings serve unseen data without training
    ("zero-shot"); it gives no code for it. Measured here are nearest neighbours and a
    linear layer on frozen embeddings, as DinoBloom does (arXiv 2404.05022).

    Parameters
    ----------
    source : str
        Checkpoint: bundled name, folder or Hub id.
    data : Path
        The other data set, in any layout of `layouts.read_cells`.
    out : Path
        Gets the split, the figures as ``transfer.json`` and a table ``transfer.md``.
    taxonomy : str
        Classes of the other data set; they need not be the checkpoint's.
    seed : int
        Of the split, which is kept in ``out`` and never made again.

    Returns
    -------
    str
        Protocol and table, as Markdown.

    Raises
    ------
    CytoDinoError
        When checkpoint or cells cannot be used.
    """
    checkpoint = load_checkpoint(source)
    classes = Taxonomy.load(taxonomy)
    out.mkdir(parents=True, exist_ok=True)
    found = inspect_files(data_root(data), read_cells(data, classes, complete=False))
    split = load_or_make_split(
        out / "split.csv", found.files, prints=found.prints, seed=seed
    )
    parts = {
        "known": split.take(found.files, *KNOWN),
        "unknown": split.take(found.files, "test"),
    }
    cells = {
        name: _embedded(checkpoint, files, classes, data_root(data), out)
        for name, files in parts.items()
    }
    targets = cells["unknown"].targets
    results = {
        name: figures(targets, _called(logits), classes.codes)
        for name, logits in probe(
            cells["known"], cells["unknown"], len(classes)
        ).items()
    }
    protocol = PROTOCOL.format(known=len(parts["known"]), unknown=len(targets))
    facts = {
        "checkpoint": checkpoint.name,
        "checkpoint_sha256": checkpoint.sha256,
        "split_sha256": split.sha256,
        "protocol": protocol,
        "results": results,
    }
    write_json(out / "transfer.json", facts)
    page = _page(checkpoint, protocol, results)
    (out / "transfer.md").write_text(page + "\n", encoding="utf-8")
    return page


def _called(logits: NDArray[np.float32]) -> NDArray[np.int64]:
    return np.asarray(logits.argmax(axis=1), np.int64)


def _embedded(
    checkpoint: Checkpoint,
    files: list[CellFile],
    classes: Taxonomy,
    root: Path,
    out: Path,
) -> Embedded:
    side = round(checkpoint.preprocessing.field_of_view)
    with TemporaryDirectory(dir=out, ignore_cleanup_errors=True) as scratch:
        cache = Path(scratch)
        crops = pack(root, files, classes, field=side, side=side, cache=cache)
        return Embedded(stored_answers(checkpoint, crops)[1], crops.targets)


def _page(
    checkpoint: Checkpoint, protocol: str, results: dict[str, dict[str, Any]]
) -> str:
    lines = [
        f"# Transfer of {checkpoint.name}, sha256 {checkpoint.sha256[:12]}",
        "",
        protocol,
        "",
        "| probe | n | classes | macro F1 [95 %] | weighted F1 | accuracy |",
        "|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {name} | {r['n']} | {r['classes']} | {r['macro_f1']:.3f} "
        f"[{r['macro_f1_low']:.3f}, {r['macro_f1_high']:.3f}] | "
        f"{r['weighted_f1']:.3f} | {r['accuracy']:.3f} |"
        for name, r in results.items()
    ]
    return "\n".join(lines)
