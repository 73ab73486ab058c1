"""A short soak: threads, open files and what is alive of ours stay as they are."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ALLOWED = {
    # what was said of pixels is remembered, up to `answers.MOST` cells
    "napari_cytodino.uncertainty.predictions.PredictionBatch",
}


@pytest.mark.render
def test_a_few_cycles_leave_nothing_behind() -> None:
    script = Path(__file__).with_name("soak.py")
    done = subprocess.run(
        [sys.executable, "-W", "ignore", str(script), "--cycles", "4", "--first", "2"],
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.stdout, done.stderr
    said = json.loads(done.stdout)
    for name in ("threads", "files"):
        assert said["last"][name] <= 1.05 * said["first"][name], said
    assert set(said["grown"]) <= ALLOWED, said
