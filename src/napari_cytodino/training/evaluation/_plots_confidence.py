"""Figures of doubt: unfamiliarity of OOD cells, and sets of possible classes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_cytodino.training.evaluation._plots import (
    ALERT,
    FAINT,
    INK,
    LINE,
    Heading,
    in_lineage_order,
    plain_axes,
    sheet,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from napari_cytodino.taxonomy import Taxonomy


STROKES = (
    "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (8, 3)), (0, (1, 3)),
    (0, (8, 2, 3, 2)), (0, (3, 4)), (0, (10, 2, 1, 2, 1, 2, 1, 2)),
)  # fmt: skip
"""Of OOD cells, so that curves can be distinguished without colour."""

SHADES = (
    "#7A3E9D", "#1B7F5C", "#9C7A00", "#5E636B", "#C2478E", "#3D3D3D", "#0E8C9B",
    "#8A5A2B", "#6B7F1B",
)  # fmt: skip
"""Of OOD cells; neither that of the test cells nor that of the limit."""


def unfamiliarity_figure(
    known: NDArray[np.float32],
    ood: Mapping[str, NDArray[np.float32]],
    limit: float,
    heading: Heading,
) -> Figure:
    """Draw which share of cells is at most so unfamiliar, test cells and OOD cells.

    Parameters
    ----------
    known : (N,)
        Unfamiliarity of the test cells; NaN is left out.
    ood
        Unfamiliarity of others, by name.
    limit
        From which on the checkpoint takes a cell for unlike its training cells.
    """
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    lines = -(-(len(ood) + 1) // 2)
    figure = sheet(6.4, 4.2 + 0.17 * lines, heading)
    axes = plain_axes(figure.add_subplot(), grid="y")
    own = known[~np.isnan(known)]
    style: dict[str, Any] = {"color": LINE, "lw": 2.2}
    curves = [(f"test cells (n = {len(own):,})", own, style)]
    for i, (name, values) in enumerate(ood.items()):
        style = {
            "color": SHADES[i % len(SHADES)],
            "ls": STROKES[i % len(STROKES)],
            "lw": 1.5,
        }
        curves.append((f"{name} (n = {len(values):,})", values, style))
    everything = np.concatenate([values for _, values, _ in curves])
    least = max(1e-3, float(everything.min()))
    most = max(2 * limit, 1.1 * float(everything.max()))
    for label, values, style in curves:
        x = np.concatenate([[least], np.sort(np.maximum(values, least)), [most]])
        y = 100 * np.concatenate([[0], np.arange(1, len(values) + 1), [len(values)]])
        axes.step(x, y / len(values), where="post", label=label, **style)
    axes.axvline(limit, color=ALERT, lw=1)
    axes.annotate(
        "limit: unlike from here on", (limit, 105), (4, 0), textcoords="offset points",
        size=7.5, color=ALERT, va="center",
    )  # fmt: skip
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 3)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set(xlim=(least, most), ylim=(-1, 109), yticks=range(0, 101, 20))
    axes.set_xlabel("unfamiliarity, in units of the limit", size=8, color=FAINT)
    axes.set_ylabel("% of the cells at most so unfamiliar", size=8, color=FAINT)
    axes.legend(
        loc="upper center", bbox_to_anchor=(0.5, -0.13), ncols=2, fontsize=8,
        frameon=False, labelcolor=INK, handlelength=3.2,
    )  # fmt: skip
    return figure


def set_figure(sets: Mapping[str, Any], taxonomy: Taxonomy, heading: Heading) -> Figure:
    """Draw how often sets of possible classes hold the truth, class by class.

    Parameters
    ----------
    sets
        From `set_metrics.set_figures`.
    """
    rows = {row["name"]: row for row in sets["rows"] if row["kind"] == "class"}
    order = [taxonomy.codes[i] for i in in_lineage_order(taxonomy)]
    shown = [rows[code] for code in order if rows[code]["n"]]
    figure = sheet(6.4, 1.5 + 0.24 * len(shown), heading)
    axes = plain_axes(figure.add_subplot(), grid="x")
    if sets["level"] is not None:
        axes.axvline(100 * sets["level"], color=ALERT, lw=1)
        text = f"aimed at: {100 * sets['level']:g} %"
        axes.annotate(
            text, (100 * sets["level"], len(shown) - 0.45), (-4, 0),
            textcoords="offset points", size=7.5, color=ALERT, ha="right", va="center",
        )  # fmt: skip
    y = np.arange(len(shown))
    value, low, high = (
        100 * np.array([row[key] for row in shown]) for key in ("value", "low", "high")
    )
    ends = np.stack([value - low, high - value]).clip(0)
    axes.errorbar(value, y, xerr=ends, fmt="o", color=LINE, ms=5, lw=1.1, capsize=2.5)
    at = ("axes fraction", "data")
    for place, row in zip(y, shown, strict=True):
        axes.annotate(
            f"{row['mean_size']:.2f}", (1.02, place), xycoords=at, size=7.5, color=INK,
            va="center", annotation_clip=False,
        )  # fmt: skip
    axes.annotate(
        "classes\nin a set", (1.02, -0.55), xycoords=at, size=7, color=FAINT,
        va="bottom", annotation_clip=False,
    )  # fmt: skip
    axes.set_yticks(y, [f"{row['name']}  {row['n']:,}" for row in shown])
    axes.tick_params(axis="y", length=0)
    left = float(np.floor(min(low.min(), 90) / 10) * 10)
    axes.set(xlim=(left, 100.5), ylim=(len(shown) - 0.1, -0.6))
    axes.set_xlabel("% of sets that hold the true class", size=8, color=FAINT)
    return figure
