"""Write the cell table into a layer's `features`, beside what others wrote there."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from napari_cytodino.core.table import COLUMNS
from napari_cytodino.widgets.layers import kind_of


def write_features(layer: Any, table: pd.DataFrame) -> None:
    """Write the table to the layer's `features` by one assignment.

    Columns of other plugins stay. Labels without a row here keep what others said of
    them. Where ids are dense, row number and id agree, as napari's own features table
    expects.
    """
    old = layer.features
    labels = kind_of(layer) == "labels"
    if not labels:
        key = np.arange(1, len(old) + 1)
    elif "index" in old:
        key = old["index"].to_numpy()
    else:
        key = old["label"].to_numpy() if "label" in old else np.arange(len(old))
    others = old.drop(columns=[c for c in old.columns if c in COLUMNS])
    others = others.set_axis(pd.Index(key.astype(np.int64)), axis=0)
    others = others[~others.index.duplicated()]
    ours = table.loc[:, list(COLUMNS)].set_axis(
        pd.Index(table["label"].to_numpy(np.int64)), axis=0
    )
    ours = ours.astype(object).where(ours.notna() & (ours != ""), None)
    rows = _feature_rows(ours.index, others.index, labels, len(old))
    merged = pd.concat([ours.reindex(rows), others.reindex(rows)], axis=1)
    merged["index"] = merged["label"] = rows.to_numpy(np.int64)
    layer.features = merged.reset_index(drop=True).infer_objects()


def _feature_rows(
    ours: pd.Index[int], others: pd.Index[int], labels: bool, count: int
) -> pd.Index[int]:
    if not labels:
        return pd.RangeIndex(1, count + 1)
    rows = ours.union(others)
    last = int(rows.max()) if len(rows) else 0
    if rows.min() >= 0 and last <= 2 * len(rows) + 16:
        return pd.RangeIndex(last + 1)
    return rows
