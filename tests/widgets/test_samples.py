"""Samples of the menu work with the dock."""

from __future__ import annotations

from typing import Any

import pytest
from napari.layers import Image, Labels

from napari_cytodino.widgets.commands import open_dock

pytestmark = pytest.mark.render


@pytest.mark.usefixtures("classifier")
def test_the_synthetic_smear_is_ready_to_classify(
    make_napari_viewer: Any, qtbot: Any
) -> None:
    viewer = make_napari_viewer()
    viewer.open_sample("napari-cytodino", "synthetic-smear")
    image, labels = viewer.layers
    assert isinstance(image, Image)
    assert isinstance(labels, Labels)
    theirs = labels.features.columns.tolist()
    dock = open_dock(viewer)
    assert dock.session.image is image
    assert dock.session.cells_layer is labels
    dock.run.classify.click()
    qtbot.waitUntil(lambda: not dock.session.busy, timeout=120_000)
    assert len(dock.session.table) == int(labels.data.max())
    assert set(theirs) <= set(labels.features.columns)
    assert "final_class" in labels.features


def test_preferences_page_reaches_the_dock(make_napari_viewer: Any) -> None:
    from napari.settings import get_plugin_settings

    from napari_cytodino.widgets.session.preferences import read_preferences

    make_napari_viewer()
    page = get_plugin_settings("napari-cytodino").classification
    before = page.batch_size
    page.batch_size = 3
    assert read_preferences().batch_size == 3
    with pytest.raises(ValueError, match="device"):
        page.device = "tpu"
    page.batch_size = before
