"""Training that SIGTERM stops or that loses a rank: told, and exact when resumed."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

RUNS = Path(__file__).with_name("training_runs.py")


def run(kind: str, out: Path) -> tuple[dict[str, int], str]:
    """Return exit codes by leg, and what was said."""
    settings = os.environ | {"OMP_NUM_THREADS": "1", "TQDM_DISABLE": "1"}
    done = subprocess.run(
        [sys.executable, str(RUNS), kind, str(out)],
        env=settings,
        capture_output=True,
        text=True,
        timeout=540,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1]), done.stderr


def hashes(run: Path, *names: str) -> list[str]:
    return [hashlib.sha256((run / name).read_bytes()).hexdigest() for name in names]


def steps(run: Path) -> list[int]:
    lines = (run / "log.jsonl").read_text("utf-8").splitlines()
    return [entry["step"] for entry in map(json.loads, lines) if "loss" in entry]


RESULTS = (
    "metrics.json",
    "checkpoint/model.safetensors",
    "checkpoint/calibration.json",
)


@pytest.mark.slow
def test_sigterm_seals_a_state_and_the_resumed_run_is_exact(tmp_path: Path) -> None:
    codes, said = run("alone", tmp_path)
    assert codes == {
        "whole": 0,
        # in a step; in the last step of an epoch, all processes of the group; merging
        **{"first": 143, "first: newest": 7},
        **{"at_the_end_of_an_epoch": 143, "at_the_end_of_an_epoch: newest": 12},
        **{"merging": 143, "merging: newest": 24},
        "resumed": 0,
    }
    assert "Stopped by SIGTERM after step 7, which is sealed" in said
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    last = "states/checkpoint-24/adapter_model.safetensors"
    assert hashes(stopped, last, *RESULTS) == hashes(whole, last, *RESULTS)
    # no step was done twice, and nothing is left beside what a run leaves
    assert steps(stopped) == steps(whole) == list(range(1, 25))
    assert {p.name for p in stopped.iterdir()} == {p.name for p in whole.iterdir()}


@pytest.mark.slow
@pytest.mark.skipif(
    not os.environ.get("CYTODINO_LONG"),
    reason="three launches of two ranks: set CYTODINO_LONG=1 (CI has 20 minutes)",
)
def test_a_killed_rank_ends_the_launcher_and_the_resumed_run_is_exact(
    tmp_path: Path,
) -> None:
    codes, said = run("ranks", tmp_path)
    seconds = [codes.pop(f"{fault}: seconds") for fault in ("terminated", "one killed")]
    assert codes.pop("terminated") != 0
    assert codes == {
        **{"whole": 0, "resumed": 0},
        # the ranks agree on the step, which is that of the rank told first
        **{"terminated: newest": 4},
        **{"one killed": 1, "one killed: newest": 5},
    }
    assert max(seconds) < 60
    assert "Signal 9 (SIGKILL)" in said
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    last = "states/checkpoint-12/adapter_model.safetensors"
    assert hashes(stopped, last, *RESULTS) == hashes(whole, last, *RESULTS)
