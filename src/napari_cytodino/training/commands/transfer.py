"""Transfer: what a checkpoint's frozen embeddings know of another data set."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_cytodino.checkpoints import load_checkpoint
from napari_cytodino.common import InputError, write_json
from napari_cytodino.taxonomy import Taxonomy
from napari_cytodino.training.commands.origin import split_of
from napari_cytodino.training.comparison import Embedded, probe
from napari_cytodino.training.data import (
    cell_set,
    data_root,
    inspect_files,
    load_or_make_split,
    read_cells,
    read_rows,
    split_sha256,
)
from napari_cytodino.training.evaluation import device_of, predictions_of
from napari_cytodino.training.metrics import classification_report

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_cytodino.checkpoints import Checkpoint
    from napari_cytodino.training.data import CellFile, ImageHashes


KNOWN = ("train", "calibration-a", "calibration-b")
"""Parts whose classes the probes learn from; the model itself learns nothing."""

PROTOCOL = (
    "The model is frozen{seen}; probes learn from the {known} cells outside the test "
    "part and are judged on its {unknown}. Nothing is chosen on the test part."
)

UNSEEN = " and was not trained on these cells: no image has the bytes of one of its run"
"""Said where the checkpoint's run kept the hashes of its images."""

TRUSTED = (
    ". The figures tell of transfer only if it was not trained on these cells: no "
    "hashes of its run's images are kept to check that"
)
"""Said where it kept none."""


def transfer(
    source: str,
    data: Path,
    out: Path,
    *,
    taxonomy: str = "mll21",
    seed: int = 0,
    device: str = "cpu",
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
    device : str
        One of `evaluation.DEVICES`.

    Returns
    -------
    str
        Protocol and table, as Markdown.

    Raises
    ------
    CytoDinoError
        When checkpoint or cells cannot be used, or its run had some of these images.
    """
    kind = device_of(device)
    checkpoint = load_checkpoint(source)
    classes = Taxonomy.load(taxonomy)
    out.mkdir(parents=True, exist_ok=True)
    found = inspect_files(data_root(data), read_cells(data, classes, complete=False))
    seen = _seen(checkpoint, found.prints)
    split = load_or_make_split(
        out / "split.csv", found.files, prints=found.prints, seed=seed
    )
    parts = {
        "known": split.take(found.files, *KNOWN),
        "unknown": split.take(found.files, "test"),
    }
    cells = {
        name: _embedded(checkpoint, files, classes, data_root(data), kind)
        for name, files in parts.items()
    }
    targets = cells["unknown"].targets
    results = {
        name: classification_report(targets, _called(logits), classes.codes)
        for name, logits in probe(
            cells["known"], cells["unknown"], len(classes)
        ).items()
    }
    protocol = PROTOCOL.format(
        seen=seen, known=len(parts["known"]), unknown=len(targets)
    )
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


def _seen(checkpoint: Checkpoint, prints: Mapping[str, ImageHashes]) -> str:
    """Say whether the model was trained on any of these images; refuse if it was."""
    known = _hashes_of_run(checkpoint)
    own = sorted(path for path, found in prints.items() if found.sha256 in known)
    if own:
        raise InputError(
            f"{len(own)} of {len(prints)} images, such as {own[0]}, are of the run "
            f"that made '{checkpoint.name}': give cells that it has never seen."
        )
    return UNSEEN if known else TRUSTED


def _hashes_of_run(checkpoint: Checkpoint) -> set[str]:
    """Return the hashes of a run's images, of all its parts; none where unknown."""
    saved = checkpoint.folder.parent / "split.csv"
    if not saved.is_file() or split_sha256(saved) != split_of(checkpoint):
        return set()
    return {row.get("sha256", "") for row in read_rows(saved)} - {""}


def _called(logits: NDArray[np.float32]) -> NDArray[np.int64]:
    return np.asarray(logits.argmax(axis=1), np.int64)


def _embedded(
    checkpoint: Checkpoint,
    files: list[CellFile],
    classes: Taxonomy,
    root: Path,
    device: str,
) -> Embedded:
    side = round(checkpoint.preprocessing.field_of_view)
    cells = cell_set(files, classes, side, folder=root)
    found = predictions_of(checkpoint, cells, device)
    return Embedded(found.embedded, found.targets)


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
