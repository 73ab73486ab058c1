"""Run the benchmarks of speed and memory: ``python benchmarks/run.py``."""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

from napari_cytodino.common.provenance import versions

HERE = Path(__file__).parent

SCRIPTS: dict[str, tuple[str, ...]] = {
    "inference": ("inference", "--data", "../shared/data"),
    "inference-avx2": ("inference",),
    "labels_to_table": ("labels_to_table",),
    "geometry": ("geometry",),
    "cropping": ("cropping",),
    "memory": ("memory",),
    "pyramid": ("pyramid",),
    "interaction": ("interaction",),
    "startup": ("startup",),
    "batch": ("batch",),
    "training_step": ("training_step", "--images", "96"),
}
"""Script and arguments; each in a process of its own, one after another."""

ON_DISPLAY = {"interaction", "pyramid"}

CAPPED = {
    "ONEDNN_MAX_CPU_ISA": "AVX2",
    "ATEN_CPU_CAPABILITY": "avx2",
    "MKL_ENABLE_INSTRUCTIONS": "AVX2",
}
"""A stand-in for a processor without units for bfloat16."""


def machine() -> dict[str, Any]:
    """Return what the figures depend on besides the code."""
    name = platform.processor() or platform.machine()
    if sys.platform == "linux":
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        names = [
            line.split(":", 1)[1].strip() for line in lines if "model name" in line
        ]
        name = names[0] if names else name
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else "none"
    return {
        "processor": name,
        "threads": torch.get_num_threads(),
        "gpu": gpu,
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": versions(),
    }


def run(name: str, out: Path) -> dict[str, float]:
    """Run one script, show what it prints, return its figures."""
    script, *more = SCRIPTS[name]
    file = out / f"{name}.json"
    line = [sys.executable, "-W", "ignore", str(HERE / f"{script}.py"), *more]
    environment = os.environ | (CAPPED if name.endswith("-avx2") else {})
    if name in ON_DISPLAY:
        line = ["xvfb-run", "-a", "-s", "-screen 0 1600x1200x24", *line]
    print(f"\n=== {name} ===", flush=True)
    line += ["--json", str(file)]
    done = subprocess.run(line, check=False, env=environment)
    if done.returncode or not file.is_file():
        print(f"{name} ended with {done.returncode}; its figures are missing.")
        return {}
    figures: dict[str, float] = json.loads(file.read_text(encoding="utf-8"))
    return figures


def main() -> None:
    """Run what is asked for, print one table, write one JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("benchmark-results"))
    parser.add_argument("--only", choices=SCRIPTS, action="append")
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    found: dict[str, Any] = {"machine": machine()}
    for name in given.only or SCRIPTS:
        found[name] = run(name, given.out)
    whole = given.out / "all.json"
    whole.write_text(json.dumps(found, indent=1), encoding="utf-8")
    print("\n=== all ===")
    for name in given.only or SCRIPTS:
        for what, value in found[name].items():
            print(f"{name:16} {what:60} {value:12.4g}")
    print(f"Written: {whole}")


if __name__ == "__main__":
    main()
