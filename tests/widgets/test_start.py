"""What `napari-cytodino demo` and `open` show."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from PIL import Image

from napari_cytodino.widgets.commands import prepare, start

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.render


@pytest.mark.usefixtures("classifier")
def test_the_demo_classifies_a_drawn_smear(make_napari_viewer: Any, qtbot: Any) -> None:
    dock = prepare(make_napari_viewer(), None)
    qtbot.waitUntil(lambda: not dock.session.busy, timeout=120_000)
    assert dock.session.opened.synthetic
    assert len(dock.session.table) == 60


def test_an_image_is_opened_beside_the_dock(
    make_napari_viewer: Any, smear: Any, tmp_path: Path
) -> None:
    path = tmp_path / "field.png"
    Image.fromarray(smear.image).save(path)
    viewer = make_napari_viewer()
    dock = prepare(viewer, path)
    assert dock.session.image.name == "field"


def test_napari_is_run(make_napari_viewer: Any, tmp_path: Path, smear: Any) -> None:
    path = tmp_path / "field.png"
    Image.fromarray(smear.image).save(path)
    ran: list[str] = []

    class Napari:
        @staticmethod
        def Viewer(title: str) -> Any:
            ran.append(title)
            return make_napari_viewer()

        @staticmethod
        def run() -> None:
            ran.append("run")

    start(Napari, path)
    assert ran == ["CytoDINO", "run"]
