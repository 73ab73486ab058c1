"""Time a move of the accuracy wanted, without model: ``python benchmarks/deciding.py``.

The figures are processor time of one thread, which other programs on the machine
hardly change; time on the clock is printed beside it.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Points

from napari_cytodino import load_checkpoint
from napari_cytodino.cells.cells import cells_from_points
from napari_cytodino.results.cell_table import build_table
from napari_cytodino.stats.fixed_sequence import curve_of
from napari_cytodino.uncertainty.calibration import ERROR_RATES, Calibration
from napari_cytodino.uncertainty.decisions import decide
from napari_cytodino.uncertainty.predictions import Predictions, as_predictions
from napari_cytodino.widgets.canvas.canvas import write_features
from napari_cytodino.widgets.session.appearance import appearance_of, counts
from napari_cytodino.widgets.session.forecast import forecast_of, other_mix
from napari_cytodino.widgets.session.session import Session

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_cytodino.taxonomy.taxonomy import Taxonomy

PROTOCOL = """\
Protocol
  {cells} cells of {classes} classes, logits drawn at random (seed 0): about half are
  accepted at 99.5 %. One move is one step of the control; all steps are taken
  {rounds} times, and the median of {moves} moves is printed, in milliseconds.
  decide: status and reason of each cell. table: decide included. colours: of the
  class, and the counts of the legend. panel: the numbers beside the control.
  features: napari's table of the layer, written once the control rests.
"""


def calibration(taxonomy: Taxonomy) -> Calibration:
    """Return one of 40,000 cells that can promise every step."""
    rng = np.random.default_rng(1)
    confidence = 1 - rng.beta(0.35, 2.2, 40_000)
    wrong = rng.random(40_000) < np.clip(0.8 * (1 - confidence) - 0.01, 0, 1)
    curve = curve_of(confidence, wrong)
    return Calibration(
        temperature=1.0,
        risk=0.005,
        delta=0.05,
        classes=taxonomy.codes,
        counts=dict.fromkeys(taxonomy.codes, 1900),
        curve=curve,
        lineage_curve=curve,
        missed=None,
        max_critical=0.05,
        rare=taxonomy.codes[:1],
        set_level=0.95,
        set_limits=dict.fromkeys((g.name for g in taxonomy.lineages), 0.95),
        familiar=0.99,
        patients=None,
        data="drawn numbers",
        date="",
        made_for={},
    )


def answers(cells: int, classes: int) -> Predictions:
    """Return answers of all degrees of confidence."""
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 1, (cells, classes)).astype(np.float32)
    best = rng.integers(0, classes, cells)
    logits[np.arange(cells), best] += rng.normal(7, 3, cells)
    return as_predictions(logits, rng.uniform(0, 1.05, cells).astype(np.float32))


def session_of(cells: int) -> Session:
    """Return a session in which so many cells are classified."""
    session, checkpoint = Session(), load_checkpoint("demo")
    found = calibration(checkpoint.taxonomy)
    checkpoint = replace(checkpoint, calibration=found, policy=found.policy())
    session.open_checkpoint(checkpoint)
    spots = np.random.default_rng(2).uniform(20, 9000, (cells, 2))
    session.cells = cells_from_points(spots, (9020, 9020), diameter=30)
    session.layer_cell_count = cells
    session.predictions = answers(cells, len(checkpoint.taxonomy))
    session.rebuild()
    return session


def parts(session: Session) -> dict[str, Callable[[], Any]]:
    """Return what a move consists of."""
    cells, predictions, taxonomy = session.cells, session.predictions, session.taxonomy
    assert cells is not None
    assert predictions is not None
    assert taxonomy is not None
    layer = Points(cells.centre)

    def colours() -> None:
        appearance_of(
            session.table, predictions.done, taxonomy, "class", session.hidden
        )
        counts(session.table)

    def panel() -> None:
        forecast_of(session)
        other_mix(session)

    def given() -> tuple[Any, ...]:
        return predictions, taxonomy, session.policy

    return {
        "decide": lambda: decide(
            *given(), cells.at_border, evidence=session.probabilities
        ),
        "table": lambda: build_table(cells, *given(), evidence=session.probabilities),
        "colours": colours,
        "panel": panel,
        "features": lambda: write_features(layer, session.table),
    }


def main() -> None:
    """Print the protocol and the median time of each part."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cells", type=int, default=50_000)
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    session = session_of(args.cells)
    assert session.taxonomy is not None
    spent: dict[str, list[tuple[float, float]]] = {}
    accepted = []
    for risk in ERROR_RATES * args.rounds:
        session.risk = risk
        session.rebuild()
        accepted.append((session.table["status"] == "auto").mean())
        for name, part in parts(session).items():
            clock, processor = time.perf_counter(), time.thread_time()
            part()
            passed = (time.thread_time() - processor, time.perf_counter() - clock)
            spent.setdefault(name, []).append(passed)
    moves = len(accepted)
    print(
        PROTOCOL.format(
            cells=args.cells,
            classes=len(session.taxonomy),
            rounds=args.rounds,
            moves=moves,
        )
    )
    print(f"accepted: {min(accepted):.0%} to {max(accepted):.0%}")
    middle = {name: np.median(np.array(v), axis=0) * 1e3 for name, v in spent.items()}
    whole = sum(middle[name] for name in ("table", "colours"))
    for name, (processor, clock) in {**middle, "table + colours": whole}.items():
        print(
            f"{name:16} {processor:6.1f} ms of processor, {clock:6.1f} ms on the clock"
        )


if __name__ == "__main__":
    main()
