"""Where the bars of the report's chart stand; ``chart.html`` draws them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from napari_cytodino.results import rgba

if TYPE_CHECKING:
    from collections.abc import Iterator

    from napari_cytodino.results import Differential, DifferentialRow


LEFT, WIDTH = 220, 370
"""Room for names and for bars, in units of the drawing."""

STEP = 38
"""Height of a line."""

LETTER = 7.0
"""Width of a letter of a code; codes that do not fit are left out."""


@dataclass(frozen=True)
class Segment:
    """A class in the bar of its lineage; its code stands at `middle`, or not at all."""

    x: float
    width: float
    colour: str
    code: str
    middle: float
    bright: bool


@dataclass(frozen=True)
class Bar:
    """A lineage: its classes, the ends of its interval, and the model's width."""

    line: DifferentialRow
    y: float
    segments: tuple[Segment, ...]
    low: float
    high: float
    model: float | None


@dataclass(frozen=True)
class Chart:
    """Bars over a grid of per cent."""

    height: int
    ticks: tuple[tuple[float, int], ...]
    bars: tuple[Bar, ...]
    left: int = LEFT
    width: int = WIDTH


def lineage_chart(differential: Differential) -> Chart | None:
    """Return the chart of the lineages that count; None where no cell counts."""
    lines = [line for line in differential.lineages if line.counted]
    if not differential.total:
        return None
    most = max(line.reviewed.interval[1] for line in lines)
    if not math.isnan(lines[0].model.percent):
        most = max(most, *(line.model.percent for line in lines), 0)
    step = next(s for s in (1, 2, 5, 10, 20) if s >= most / 7 or s == 20)
    end = step * math.ceil(most / step)
    ticks = ((LEFT + WIDTH * tick / end, tick) for tick in range(0, end + 1, step))
    bars = (
        _bar(line, differential, WIDTH / end, STEP * place + 6.0)
        for place, line in enumerate(lines)
    )
    return Chart(STEP * len(lines), tuple(ticks), tuple(bars))


def _bar(
    line: DifferentialRow, differential: Differential, scale: float, y: float
) -> Bar:
    """Place a lineage; `scale` is the width of one per cent."""
    low, high = (LEFT + end * scale for end in line.reviewed.interval)
    model = line.model.percent * scale
    segments = tuple(_segments(differential.classes_of(line.key), scale, low))
    return Bar(line, y, segments, low, high, None if math.isnan(model) else model)


def _segments(
    parts: tuple[DifferentialRow, ...], scale: float, whisker: float
) -> Iterator[Segment]:
    """Place classes side by side; codes stand left of the whisker."""
    x = float(LEFT)
    for part in parts:
        if part.counted and part.reviewed.count:
            width = part.reviewed.percent * scale
            room = min(width, whisker - x - 3)
            code = part.key if room > LETTER * len(part.key) + 2 else ""
            red, green, blue, _ = rgba(part.colour)
            # as bright as the eye takes it (ITU-R BT.709)
            bright = 0.2126 * red**2.2 + 0.7152 * green**2.2 + 0.0722 * blue**2.2
            yield Segment(x, width, part.colour, code, x + room / 2, bright > 0.2)
            x += width
