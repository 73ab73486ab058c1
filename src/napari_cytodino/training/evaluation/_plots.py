"""Figures of an evaluation, drawn without any global state of matplotlib."""

from __future__ import annotations

from dataclasses import dataclass
from textwrap import wrap
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_cytodino.common import atomic_write
from napari_cytodino.stats import wilson
from napari_cytodino.taxonomy import CellClass
from napari_cytodino.training.metrics import rates, row_shares

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from napari_cytodino.taxonomy import Taxonomy
    from napari_cytodino.training.metrics import Bin, EmbeddingMap, RiskCoverage


DPI = 200
"""Dots per inch of the files."""

INK, FAINT, LINE, ALERT = "#1A1C20", "#5E636B", "#0B5FA5", "#B3400A"
"""Text; notes and axes; curves; what is dangerous. Told apart by lightness as well."""

MARKERS = "os^DvPX*<>hpd"
"""One a lineage, for readers who cannot go by colour."""

CHARACTERS = 16
"""Of the notes' size that an inch holds."""

FOOT = "napari-cytodino · for research use only"
"""At the foot of every figure, as files are passed on alone."""


@dataclass(frozen=True)
class Heading:
    """What stands over a figure: its message, then n and protocol."""

    title: str
    note: str


def save(figure: Figure, path: Path) -> Path:
    """Write a figure as PNG, whole or not at all, the same bytes each time."""
    with atomic_write(path) as temporary:
        figure.savefig(temporary, dpi=DPI, format="png", metadata={"Software": None})
    return path


def sheet(width: float, height: float, heading: Heading) -> Figure:
    """Return an empty figure in inches with its heading and foot."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    # headings have lines of their own, which the axes keep clear of
    lines = wrap(heading.note, max(20, round(CHARACTERS * (width - 0.3))))
    head, foot, left = 0.48 + 0.14 * len(lines), 0.24 / height, 0.12 / width
    rect = (left / 2, foot, 1 - left, 1 - foot - head / height)
    layout = ConstrainedLayoutEngine(rect=rect)
    figure = Figure((width, height), facecolor="white", layout=layout)
    FigureCanvasAgg(figure)
    title, note = 1 - 0.1 / height, 1 - 0.35 / height
    figure.text(left, title, heading.title, size=12, weight="bold", color=INK, va="top")
    text = "\n".join(lines)
    figure.text(left, note, text, size=8, color=FAINT, va="top", linespacing=1.15)
    figure.text(left, 0.07 / height, FOOT, size=6.5, color=FAINT, va="bottom")
    return figure


def plain_axes(axes: Axes, *, grid: str = "") -> Axes:
    """Take away what carries no data."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(FAINT)
    axes.tick_params(colors=FAINT, labelcolor=INK, labelsize=8)
    if grid:
        axes.grid(axis=grid, color="#E4E6EA", linewidth=0.6)  # type: ignore[arg-type]
        axes.set_axisbelow(True)
    return axes


def in_lineage_order(taxonomy: Taxonomy) -> list[int]:
    """Return class indices lineage by lineage, in the order of maturation."""
    return [
        taxonomy.index(cell.code)
        for lineage in taxonomy.lineages
        for cell in taxonomy.classes_of(lineage.name)
    ]


def lineage_counts(
    counts: NDArray[np.int64], taxonomy: Taxonomy, heading: Heading
) -> Figure:
    """Draw how many cells each class has, lineage by lineage.

    Parameters
    ----------
    counts : NDArray[np.int64]
        (C,) cells of each class.
    """
    rows, gaps = len(taxonomy), len(taxonomy.lineages)
    figure = sheet(7.2, 0.95 + 0.19 * (rows + 1.25 * gaps), heading)
    axes = plain_axes(figure.add_subplot(), grid="x")
    place, ticks, names = 0.0, [], []
    for lineage in taxonomy.lineages:
        members = taxonomy.classes_of(lineage.name)
        total = sum(int(counts[taxonomy.index(c.code)]) for c in members)
        text = f"{lineage.title}: {total:,}"
        axes.text(0, place, text, size=8, weight="bold", color=INK, va="center")
        for cell in members:
            place += 1
            n = int(counts[taxonomy.index(cell.code)])
            axes.barh(
                place, n, height=0.78, color=cell.colour, edgecolor=INK, linewidth=0.5
            )
            axes.annotate(
                f"{n:,}", (n, place), (4, 0), textcoords="offset points",
                size=7.5, color=INK, va="center",
            )  # fmt: skip
            ticks.append(place)
            names.append(f"{cell.name}  {cell.code}")
        place += 1.25
    axes.set_yticks(ticks, names)
    axes.tick_params(axis="y", length=0)
    axes.set_ylim(place - 0.6, -0.7)
    axes.set_xlim(0, max(1, int(counts.max())) * 1.1)
    axes.set_xlabel("cells", size=8, color=FAINT)
    return figure


def confusion_figure(
    table: NDArray[np.int64],
    taxonomy: Taxonomy,
    heading: Heading,
    *,
    counts: bool = False,
) -> Figure:
    """Draw a confusion matrix in the order of lineages and stages.

    The shade is the share of the true class; the numbers are that share in per cent,
    or counts. Dangerous errors (see `lineage_metrics.rates`) have a frame.

    Parameters
    ----------
    table : NDArray[np.int64]
        (C, C) counts, true classes in rows.
    counts : bool
        Whether the numbers are counts.
    """
    from matplotlib.patches import Rectangle

    order = in_lineage_order(taxonomy)
    own, shares = table[np.ix_(order, order)], row_shares(table)[np.ix_(order, order)]
    danger = _dangerous(taxonomy)[np.ix_(order, order)] & (own > 0)
    side = 1.9 + 0.31 * len(order)
    figure = sheet(side + 0.5, side + 0.5, heading)
    axes = figure.add_subplot()
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1, aspect="equal")
    for i, j in np.argwhere(own > 0):
        text = f"{own[i, j]}" if counts else _percent(shares[i, j])
        axes.text(
            j, i, text, size=6, ha="center", va="center",
            color="white" if shares[i, j] > 0.55 else INK,
        )  # fmt: skip
        if danger[i, j]:
            frame = Rectangle((j - 0.46, i - 0.46), 0.92, 0.92, fill=False)
            frame.set(edgecolor=ALERT, linewidth=1.3)
            axes.add_patch(frame)
    codes = [taxonomy.codes[i] for i in order]
    support = [f"{code}  {n:,}" for code, n in zip(codes, own.sum(axis=1), strict=True)]
    axes.set_xticks(range(len(order)), codes, rotation=90)
    axes.set_yticks(range(len(order)), support)
    axes.tick_params(length=0, labelsize=7.5, labelcolor=INK)
    axes.spines[:].set_color(FAINT)
    lineage = taxonomy.lineage_index[order]
    for edge in np.flatnonzero(np.diff(lineage)) + 0.5:
        axes.axhline(edge, color=FAINT, linewidth=0.7)
        axes.axvline(edge, color=FAINT, linewidth=0.7)
    axes.set_ylabel("true class, and its cells", size=8, color=FAINT)
    what = "cells" if counts else "per cent of the true class"
    axes.set_xlabel(
        f"called. Numbers: {what}. Lines part lineages. "
        "Framed: a critical cell called safe or not counted.",
        size=7.5, color=FAINT,
    )  # fmt: skip
    return figure


def _percent(share: float) -> str:
    return f"{100 * share:.0f}" if share >= 0.005 else "<1"


def _dangerous(taxonomy: Taxonomy) -> NDArray[np.bool_]:
    found = np.zeros((len(taxonomy), len(taxonomy)), np.bool_)
    for rate in rates(taxonomy):
        if rate.key.endswith("_rate"):
            found |= rate.entries & rate.rows[:, None]
    return found


def risk_figure(
    curve: RiskCoverage,
    points: list[dict[str, Any]],
    policy: dict[str, Any],
    heading: Heading,
    promises: list[dict[str, Any]] | None = None,
) -> Figure:
    """Draw the errors among accepted cells against the share that is accepted.

    Parameters
    ----------
    curve : RiskCoverage
        Of the test cells; its band is Clopper and Pearson's at each point.
    points : list of dict
        From `RiskCoverage.accepted_at`.
    policy : dict
        What the checkpoint's thresholds accept: accepted, coverage, risk.
    promises : list of dict, optional
        What thresholds from calibration cells accept: promised, coverage, error.
    """
    figure = sheet(6.4, 4.4, heading)
    axes = plain_axes(figure.add_subplot(), grid="y")
    low, high = curve.band
    coverage, risk = 100 * curve.coverage, 100 * curve.risk
    axes.fill_between(coverage, 100 * low, 100 * high, color=LINE, alpha=0.16, lw=0)
    axes.plot(coverage, risk, color=LINE, lw=1.6)
    top = max(1.0, 1.35 * float(risk[curve.coverage >= 0.1].max()))
    for i, point in enumerate(p for p in points if p["accepted"]):
        x, y = 100 * point["coverage"], 100 * point["wrong"] / point["accepted"]
        axes.plot(x, y, "o", color=LINE, ms=4)
        # the curve rises: there is room below it on the right, above it on the left
        side, away = ("right", (-7, 5)) if x > 60 else ("left", (7, 3 * i - 6))
        axes.annotate(
            f"at most {100 * point['error']:g} % wrong: {x:.0f} % accepted", (x, y),
            away, textcoords="offset points", size=7.5, color=INK, ha=side,
        )  # fmt: skip
    for kind, label, spots in _rules(policy, promises or []):
        x, y = (100 * np.array([spot[i] for spot in spots]) for i in (0, 1))
        axes.plot(x, y, ls="", markeredgecolor="white", label=label, **kind)
    if axes.get_legend_handles_labels()[0]:
        axes.legend(loc="upper left", fontsize=8, labelcolor=INK, frameon=False)
    axes.set(xlim=(0, 101), ylim=(-0.02 * top, top))
    axes.set_xlabel("accepted, % of all cells, the surest first", size=8, color=FAINT)
    axes.set_ylabel("wrong, % of the accepted", size=8, color=FAINT)
    return figure


def _rules(
    policy: dict[str, Any], promises: list[dict[str, Any]]
) -> Iterator[tuple[dict[str, Any], str, list[tuple[float, float]]]]:
    """Yield marker, name, and coverage and error of the rules that accept any cell."""
    spots = [
        (p["coverage"], p["error"]) for p in promises if p["promised"] and p["accepted"]
    ]
    if spots:
        yield {"marker": "s", "color": FAINT, "ms": 6}, "guaranteed thresholds", spots
    if policy["accepted"]:
        text = f"the policy: {policy['accepted']:,} accepted, {policy['wrong']:,} wrong"
        marker = {"marker": "D", "color": ALERT, "ms": 6.5}
        yield marker, text, [(policy["coverage"], policy["risk"])]


def reliability_figure(bins: list[Bin], ece: float, heading: Heading) -> Figure:
    """Draw how often cells of like confidence are right, with Wilson intervals."""
    figure = sheet(5.2, 5.2, heading)
    axes = plain_axes(figure.add_subplot(), grid="both")
    axes.plot([0, 100], [0, 100], color=FAINT, lw=0.9, ls="--")
    x = np.array([100 * b.confidence for b in bins])
    y = np.array([100 * b.accuracy for b in bins])
    ends = 100 * np.array([wilson(b.right, b.n) for b in bins]).T
    axes.errorbar(
        x, y, np.abs(ends - y), fmt="o", color=LINE, ms=5, lw=1.1, capsize=2.5
    )
    sizes = sorted({b.n for b in bins})
    counts = " to ".join(f"{n}" for n in dict.fromkeys((sizes[0], sizes[-1])))
    text = (
        f"calibration error {100 * ece:.1f} points\n"
        f"{len(bins)} bins of {counts} cells\n"
        "above the line: more often right than it is sure"
    )
    axes.text(0.98, 0.03, text, size=8, color=INK, ha="right", transform=axes.transAxes)
    low = max(0.0, 10 * np.floor(min(x.min(), ends.min()) / 10))
    axes.set(xlim=(low, 101), ylim=(low, 101), aspect="equal")
    axes.set_xlabel("confidence in the class called, %", size=8, color=FAINT)
    axes.set_ylabel("right, %", size=8, color=FAINT)
    return figure


def map_figure(
    made: EmbeddingMap,
    targets: NDArray[np.int64],
    taxonomy: Taxonomy,
    purity: dict[str, Any],
    heading: Heading,
) -> Figure:
    """Draw the map of embeddings by class and by lineage.

    Classes have their code written on them, lineages a marker each.

    Parameters
    ----------
    targets : NDArray[np.int64]
        (N,) of all cells, mapped or not.
    purity : dict
        From `embedding_map.map_figures`.
    """
    figure = sheet(10.4, 6.0, heading)
    own = targets[made.rows]
    lineage = taxonomy.lineage_index[own]
    for side, name in enumerate(("class", "lineage")):
        axes = figure.add_subplot(1, 2, side + 1)
        axes.set_axis_off()
        axes.set_aspect("equal", "datalim")
        kinds = taxonomy.lineages if side else taxonomy.classes
        of = lineage if side else own
        for i in np.unique(of):
            kind, which = kinds[i], np.flatnonzero(of == i)
            group = int(i) if side else int(taxonomy.lineage_index[i])
            axes.scatter(
                made.points[which, 0], made.points[which, 1], s=11,
                marker=MARKERS[group % len(MARKERS)], color=kind.colour,
                edgecolor="#33363C", linewidth=0.25,
                label=None if isinstance(kind, CellClass) else kind.title,
            )  # fmt: skip
            if isinstance(kind, CellClass):
                _name(axes, kind.code, made.points[which])
        found, mapped, chance = (
            100 * purity[f"purity_{name}{end}"] for end in ("", "_on_map", "_by_chance")
        )
        axes.set_title(
            f"By {name}\nneighbours alike: {found:.1f} % in the embedding, "
            f"{mapped:.1f} % on the map, {chance:.1f} % by chance",
            size=8, color=INK, loc="left",
        )  # fmt: skip
    figure.legend(
        loc="outside lower center", ncols=4, fontsize=8, frameon=False, markerscale=1.8
    )
    return figure


def _name(axes: Axes, text: str, points: NDArray[np.float32]) -> None:
    """Write a name above the member nearest to the others' median, with a halo.

    Below it where another name is near.
    """
    from matplotlib.patheffects import withStroke

    apart = np.linalg.norm(points - np.median(points, axis=0), axis=1)
    x, y = map(float, points[apart.argmin()])
    room = 0.05 * max(axes.dataLim.width, axes.dataLim.height)
    taken = any(
        abs(other.get_position()[0] - x) < 1.4 * room
        and abs(other.get_position()[1] - y) < room
        for other in axes.texts
    )
    axes.text(
        x, y, f"\n{text}" if taken else f"{text}\n", size=7, weight="bold", color=INK,
        ha="center", va="center", zorder=9, linespacing=1.3,
        path_effects=[withStroke(linewidth=2, foreground="white")],
    )  # fmt: skip


def views_figure(
    original: NDArray[np.uint8], views: NDArray[np.uint8], heading: Heading
) -> Figure:
    """Draw one cell as it is, and as training sees it.

    Parameters
    ----------
    original : NDArray[np.uint8]
        (H, W, 3).
    views : NDArray[np.uint8]
        (K, H, W, 3) its augmented views.
    """
    columns = min(6, len(views) + 1)
    lines = -(-(len(views) + 1) // columns)
    figure = sheet(1.25 * columns + 0.2, 1.36 * lines + 1.0, heading)
    for i, image in enumerate([original, *views]):
        axes = figure.add_subplot(lines, columns, i + 1)
        axes.imshow(image, interpolation="nearest")
        axes.set(xticks=[], yticks=[])
        axes.spines[:].set(linewidth=0.4 if i else 2.2, color=FAINT if i else INK)
        axes.set_title("as it is" if i == 0 else f"view {i}", size=7, color=INK, pad=2)
    return figure
