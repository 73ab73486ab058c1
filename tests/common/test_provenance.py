"""Provenance names the model, the thresholds, the versions and the time."""

import json
import re
from datetime import datetime, timedelta

from napari_cytodino.common.provenance import RESEARCH_USE, Provenance, versions


def made(**changes):
    values = {
        "image": "smear.png",
        "checkpoint": "demo",
        "checkpoint_sha256": "ab" * 32,
        "synthetic": False,
        "policy": {"min_confidence": 0.9},
    }
    return Provenance(**(values | changes))


def test_plain_values_survive_json():
    content = made().to_dict()
    assert json.loads(json.dumps(content)) == content
    assert content["notice"] == RESEARCH_USE


def test_time_is_utc():
    created = datetime.fromisoformat(made().created)
    assert created.utcoffset() == timedelta(0)


def test_versions_are_those_installed():
    import numpy

    found = versions()
    assert found["numpy"] == numpy.__version__
    assert re.fullmatch(r"3\.\d+\.\d+.*", found["python"])
