"""Kill workers and the driver of a batch run: ``python benchmarks/batch.py``."""

from __future__ import annotations

import argparse
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil
from PIL import Image

from napari_cytodino.batch.record import SUFFIX, digest
from napari_cytodino.synthetic.smear import synthetic_smear

PROTOCOL = """\
Protocol
  {images} SYNTHETIC images of 900 x 1200 pixels with {cells} cells, drawn in code, and
  a damaged TIFF. Each run is the command `napari-cytodino classify` in processes of its
  own, the checkpoint `{checkpoint}` in float32 on the CPU, one thread a process.
  serial     one process.
  workers    --workers {workers}, undisturbed.
  killed     --workers {workers}: SIGKILL to one worker when {first} images are done, to
             another when {second} are, to the driver when {third} are; then the same
             command again, to its end. Done: its record is there.
  The digest is made anew from every result file (batch/record.py).
"""


def draw(folder: Path, images: int, cells: int) -> None:
    """Draw the images, and one that is none."""
    folder.mkdir()
    for seed in range(images):
        smear = synthetic_smear((900, 1200), cells, seed=seed)
        Image.fromarray(smear.image).save(folder / f"smear{seed:02d}.png")
    (folder / "damaged.tif").write_bytes(b"II*\0" + b"\xff" * 60)


def command(images: Path, out: Path, checkpoint: str, *more: str) -> list[str]:
    """Return the command of one run."""
    fixed = ["--device", "cpu", "--dtype", "float32", "--batch-size", "8"]
    fixed += ["--threads", "1", "--checkpoint", checkpoint, "--out", str(out)]
    name = str(Path(sys.executable).with_name("napari-cytodino"))
    return [name, "classify", str(images), *fixed, *more]


def run(line: list[str]) -> tuple[float, str]:
    """Return the seconds and the words of a run to its end."""
    start = time.perf_counter()
    done = subprocess.run(line, capture_output=True, text=True)
    # 2: something was left out, as the damaged image must be
    if done.returncode != 2 or "Traceback" in done.stderr:
        raise SystemExit(f"{' '.join(line)}\nexit {done.returncode}\n{done.stderr}")
    return time.perf_counter() - start, done.stdout + done.stderr


def wait_for(out: Path, records: int, driver: subprocess.Popen[str]) -> None:
    """Wait until so many images are done."""
    while len(list(out.glob(f"*{SUFFIX}"))) < records:
        if driver.poll() is not None:
            raise SystemExit(f"the driver ended before {records} images were done")
        time.sleep(0.02)


def workers_of(driver: psutil.Process) -> list[psutil.Process]:
    """Return the worker processes, which dask starts by multiprocessing."""
    found = driver.children(recursive=True)
    return [p for p in found if any("spawn_main" in part for part in p.cmdline())]


def kill_on_the_way(line: list[str], out: Path, steps: list[int]) -> tuple[float, int]:
    """Kill workers, then the driver; return the seconds and the processes left over."""
    start = time.perf_counter()
    driver = subprocess.Popen(
        line, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, text=True
    )
    tree = psutil.Process(driver.pid)
    for records in steps[:-1]:
        wait_for(out, records, driver)
        victim = workers_of(tree)[0]
        print(f"  {records} done: SIGKILL to worker {victim.pid}")
        victim.kill()
    wait_for(out, steps[-1], driver)
    family = tree.children(recursive=True)
    os.kill(driver.pid, signal.SIGKILL)
    driver.wait()
    seconds = time.perf_counter() - start
    done = len(list(out.glob(f"*{SUFFIX}")))
    print(f"  {done} done: SIGKILL to the driver")
    return seconds, len(psutil.wait_procs(family, timeout=10)[1])


def main() -> None:
    """Print protocol, digests and times."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=24)
    parser.add_argument("--cells", type=int, default=12)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--checkpoint", default="demo")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    steps = [given.images * k // 6 for k in (1, 2, 3)]
    first, second, third = steps
    print(PROTOCOL.format(**vars(given), first=first, second=second, third=third))
    with tempfile.TemporaryDirectory() as name:
        figures = measure(Path(name), given, steps)
    for what, figure in figures.items():
        print(
            f"{what}: {figure:.1f}"
            if isinstance(figure, float)
            else f"{what}: {figure}"
        )
    digests = {v for k, v in figures.items() if k.startswith("digest")}
    verdict = "EQUAL" if len(digests) == 1 else "DIFFER"
    print(f"n = {given.images} images; digests {verdict}")
    if given.json:
        given.json.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    raise SystemExit(len(digests) != 1)


def measure(
    folder: Path, given: argparse.Namespace, steps: list[int]
) -> dict[str, float | int | str]:
    """Make the three runs and return their figures."""
    images = folder / "images"
    draw(images, given.images, given.cells)
    many = ("--workers", str(given.workers))
    figures: dict[str, float | int | str] = {}
    for name, more in (("serial", ()), ("workers", many)):
        line = command(images, folder / name, given.checkpoint, *more)
        figures[f"seconds {name}"], _ = run(line)
    out = folder / "killed"
    line = command(images, out, given.checkpoint, *many)
    figures["seconds killed, until the driver"], left = kill_on_the_way(
        line, out, steps
    )
    figures["processes left 10 s after the driver"] = left
    figures["seconds killed, the rest"], words = run(line)
    figures["seconds once more, all skipped"], again = run(line)
    for what, text in (("rest", words), ("once more", again)):
        found = re.search(r"(\d+) were done before", text)
        figures[f"skipped in {what}"] = int(found[1]) if found else -1
    listed = (out / "failed.csv").read_text().splitlines()[1:]
    figures["images listed as failed"] = len(listed)
    for name in ("serial", "workers", "killed"):
        records = len(list((folder / name).glob(f"*{SUFFIX}")))
        if records != given.images:
            raise SystemExit(f"{name}: {records} of {given.images} images done")
        figures[f"digest {name}"] = digest(folder / name, anew=True)
    figures["temporary files left"] = len(list(out.glob(".*")))
    return figures


if __name__ == "__main__":
    main()
