"""File > Save Selected Layers, through napari itself: the manifest's writers."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest
from npe2 import PluginManager

from napari_cytodino.common.errors import InputError
from napari_cytodino.exports.reading import read_table
from napari_cytodino.exports.tables import SUFFIXES
from napari_cytodino.results.cell_table import COLUMNS
from napari_cytodino.widgets.commands import PLUGIN

if TYPE_CHECKING:
    from pathlib import Path

    from napari_cytodino.synthetic.smear import Smear


@pytest.fixture
def plugins() -> PluginManager:
    """Return npe2's own manager, with napari and this plugin in it."""
    manager = PluginManager.instance()
    manager.discover()
    manager.enable(PLUGIN)
    return manager


@pytest.mark.parametrize("kind", ["labels", "points"])
def test_the_dialog_offers_every_format(plugins: PluginManager, kind: str) -> None:
    ours = [
        writer
        for writer in plugins.iter_compatible_writers([kind])
        if writer.command.startswith(PLUGIN)
    ]
    assert [writer.filename_extensions for writer in ours] == [list(SUFFIXES)]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_the_table_of_a_labels_layer_is_saved(
    chosen: Any, plugins: PluginManager, tmp_path: Path, suffix: str
) -> None:
    chosen.classify()
    path = tmp_path / f"cells{suffix}"
    chosen.viewer.layers.selection = {chosen.viewer.layers["cells"]}
    done = chosen.viewer.layers.save(str(path), selected=True, plugin=PLUGIN)
    assert done == [str(path)]
    table = chosen.session.table
    if suffix == ".geojson":
        content = json.loads(path.read_text())
        found = {f["properties"]["name"]: f for f in content["features"]}
        assert list(found) == [str(label) for label in table["label"]]
        for feature in found.values():
            assert len(feature["geometry"]["coordinates"][0]) > 5
    elif suffix == ".h5ad":
        anndata = pytest.importorskip("anndata", reason="extra 'export' is missing")
        data = anndata.read_h5ad(path)
        assert data.obs["label"].tolist() == table["label"].tolist()
    else:
        back = read_table(path)[list(COLUMNS)]
        pd.testing.assert_frame_equal(
            back, table[list(COLUMNS)], check_dtype=False, check_column_type=False
        )


def test_the_table_of_a_points_layer_is_saved(
    bench: Any, plugins: PluginManager, smear: Smear, tmp_path: Path
) -> None:
    image = bench.viewer.add_image(smear.image, name="smear")
    points = bench.viewer.add_points(smear.centres, name="dots")
    bench.choose(image, points)
    bench.classify()
    path = tmp_path / "cells.csv"
    bench.viewer.layers.selection = {points}
    bench.viewer.layers.save(str(path), selected=True, plugin=PLUGIN)
    back = read_table(path)
    assert back["final_class"].tolist() == bench.session.table["final_class"].tolist()
    np.testing.assert_allclose(back[["y", "x"]], smear.centres)


def test_a_layer_that_was_not_classified_is_refused(
    bench: Any, plugins: PluginManager, tmp_path: Path
) -> None:
    bench.viewer.add_points([[1, 2], [3, 4]], name="dots")
    with pytest.raises(InputError, match="Layer 'dots' has no table of classified"):
        bench.viewer.layers.save(str(tmp_path / "a.csv"), plugin=PLUGIN)
    assert list(tmp_path.iterdir()) == []


def test_napari_still_saves_points_itself(
    bench: Any, plugins: PluginManager, tmp_path: Path
) -> None:
    """Without a plugin named, a points layer is saved as before we were installed."""
    bench.viewer.add_points([[1, 2], [3, 4]], name="dots")
    path = tmp_path / "a.csv"
    bench.viewer.layers.save(str(path))
    assert list(pd.read_csv(path)) == ["index", "axis-0", "axis-1"]
