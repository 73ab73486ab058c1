"""The demo as files: everything is there, and it is called SYNTHETIC."""

from napari_cytodino.batch.demo import demo_files


def test_the_demo_leaves_its_files_and_says_so(tmp_path):
    seen = []
    said = demo_files(tmp_path, lambda done, total: seen.append((done, total)))
    assert said.startswith("SYNTHETIC demo: 60 drawn cells classified")
    assert seen[-1] == (60, 60)
    names = {p.name for p in tmp_path.iterdir()}
    kinds = (
        "png",
        "labels.npy",
        "cells.csv",
        "cells.geojson",
        "differential.csv",
        "overlay.png",
    )
    assert {f"synthetic-smear.{kind}" for kind in kinds} <= names
