"""The cells as AnnData, which scanpy and its kin open and plot."""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from napari_cytodino.common import InputError
from napari_cytodino.results import taxonomy_of

if TYPE_CHECKING:
    from pathlib import Path


_GREY = "#808080"


def write_anndata(
    table: pd.DataFrame,
    path: Path,
    notes: dict[str, Any],
    *,
    embeddings: npt.NDArray[Any] | None = None,
) -> None:
    """Write ``.h5ad``.

    ``obs`` is the table; its texts are categories, an empty one is missing.
    ``obsm["spatial"]`` is x and y in pixels, ``obsm["probabilities"]`` the shares of
    the classes in ``uns["classes"]``, and ``uns["<column>_colors"]`` the colours of
    classes and lineages as scanpy wants them.

    Parameters
    ----------
    notes
        Provenance, as plain values; kept as JSON in ``uns["provenance"]``.
    embeddings : (N, D), optional
        ``X``, as float32. Without them ``X`` is the probabilities.

    Raises
    ------
    InputError
        When the package is missing, or the embeddings do not fit the table.
    """
    try:
        import anndata
    except ImportError as error:
        raise InputError(
            "AnnData needs the package anndata, which is not installed; run: "
            "pip install 'napari-cytodino[export]'."
        ) from error
    shares = [c for c in table.columns if c.startswith("p_")]
    codes = [name[2:] for name in shares]
    p = table[shares].to_numpy(np.float32)
    x, names = p, codes
    if embeddings is not None:
        if embeddings.ndim != 2 or len(embeddings) != len(table):
            raise InputError(
                f"Embeddings of shape {embeddings.shape} do not fit a table of "
                f"{len(table)} cells; give one row for each."
            )
        x = np.asarray(embeddings, np.float32)
        names = [f"embedding_{i}" for i in range(x.shape[1])]
    obs, colours = _obs(table.drop(columns=shares))
    data = anndata.AnnData(
        X=x,
        obs=obs,
        var=pd.DataFrame(index=pd.Index(names, dtype=object)),
        obsm={"spatial": table[["x", "y"]].to_numpy(float), "probabilities": p},
        uns={"provenance": json.dumps(notes), "classes": np.array(codes, object)}
        | colours,
    )
    path.write_bytes(_as_hdf5(data))


def _as_hdf5(data: Any) -> bytes:
    """Return the file's bytes, made in memory.

    HDF5 that meets a full disk cannot close the file any more, and brings the process
    down at the next file it closes, or at its end.
    """
    import h5py
    from anndata.io import write_elem

    memory = io.BytesIO()
    with h5py.File(memory, "w") as file:
        write_elem(file, "/", data)
    return memory.getvalue()


def _obs(table: pd.DataFrame) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Return the table as ``obs``, and the colours of its categories for ``uns``."""
    obs = table.rename(columns={"index": "label_index"})
    obs.attrs = {}
    names = obs["label"] if obs["label"].is_unique else pd.RangeIndex(len(obs))
    obs.index = pd.Index([str(name) for name in names], dtype=object)
    known = _palettes(table)
    colours = {}
    for name in obs.columns:
        if obs[name].dtype.kind in "biuf":
            continue
        texts = obs[name].fillna("").astype(str).astype(object)
        used = set(texts) - {""}
        order = [key for key in known.get(name, {}) if key in used]
        order += sorted(used.difference(order))
        # object: anndata 0.12 cannot write the texts of pandas 3
        obs[name] = pd.Categorical(
            texts.where(texts != ""), categories=pd.Index(order, dtype=object)
        )
        if name in known:
            colours[f"{name}_colors"] = np.array(
                [known[name].get(key, _GREY) for key in order], object
            )
    return obs, colours


def _palettes(table: pd.DataFrame) -> dict[str, dict[str, str]]:
    """Return #RRGGBB of each class and lineage, in the taxonomy's order."""
    if "taxonomy" not in table.attrs:
        return {}
    taxonomy = taxonomy_of(table)
    classes = {c.code: c.colour for c in taxonomy.classes}
    return {
        "cell_class": classes,
        "reviewed_class": classes,
        "final_class": classes,
        "lineage": {g.name: g.colour for g in taxonomy.lineages},
    }
