"""The fuzzers: what they kept is tried again, and they run for seconds."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
RUN = [sys.executable, str(ROOT / "fuzz" / "run.py")]
CORPUS = ROOT / "fuzz" / "corpus"


def test_what_was_kept_is_small_and_ends_in_a_sentence() -> None:
    sizes = [p.stat().st_size for p in CORPUS.rglob("*") if p.is_file()]
    assert max(sizes) <= 8192
    assert sum(sizes) <= 500_000
    done = subprocess.run(
        [*RUN, "--again"], capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout == f"{len(sizes)} kept inputs, no crash\n"


def test_every_parser_is_fuzzed_for_seconds() -> None:
    if importlib.util.find_spec("atheris") is None:
        pytest.skip("atheris is not installed: pip install atheris (Linux, macOS)")
    done = subprocess.run(
        [*RUN, "--target", "all", "--seconds", "3"],
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout
    last = done.stdout.splitlines()[-1].split("|")
    assert int(last[2].replace(",", "")) > 100, done.stdout
    assert int(last[3].replace(",", "")) > 50, "nothing was instrumented"


def test_what_was_uncaught_is_told() -> None:
    spec = importlib.util.spec_from_file_location("fuzz_run", ROOT / "fuzz" / "run.py")
    assert spec is not None
    assert spec.loader is not None
    run = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(run)
    said = "INFO: x\n === Uncaught Python exception: ===\nKeyError: 'lost'\n  File"
    assert run.last_error(said) == "KeyError: 'lost'"
    assert "timeout" in run.last_error("x\n==1== ERROR: libFuzzer: timeout after 30\n")
