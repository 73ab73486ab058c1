"""A bar chart of lineages as SVG: classes by stage, intervals, the model beside it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from napari_cytodino.case_report._text import clean
from napari_cytodino.results import rgba

if TYPE_CHECKING:
    from napari_cytodino.results import Differential, DifferentialRow


LEFT, WIDTH, RIGHT = 220, 370, 160
"""Room for names, bars and numbers, in units of the drawing."""

STEP, TALL, THIN = 38, 17, 7
"""Height of a line, of its bar, and of the model's bar."""

LETTER = 7.0
"""Width of a letter of a code; codes that do not fit are left out."""

INK, FAINT, GRID = "#16181d", "#555b66", "#d5d9e0"

_PATTERN = (
    '<defs><pattern id="hatch" width="4" height="4" patternUnits="userSpaceOnUse" '
    'patternTransform="rotate(45)"><rect width="4" height="4" fill="#ffffff"/>'
    f'<rect width="1.4" height="4" fill="{FAINT}"/></pattern></defs>'
)


def lineage_chart(differential: Differential) -> str:
    """Return the chart of the lineages that count; empty where no cell counts.

    It holds without colours: every bar is named, its classes stand in order of
    maturation with their codes, and the model's bars are hatched.
    """
    lines = [line for line in differential.lineages if line.counted]
    if not differential.total:
        return ""
    most = max(line.reviewed.interval[1] for line in lines)
    if not math.isnan(lines[0].model.percent):
        most = max(most, *(line.model.percent for line in lines), 0)
    step = next(s for s in (1, 2, 5, 10, 20) if s >= most / 7 or s == 20)
    end = step * math.ceil(most / step)
    height = STEP * len(lines) + 22
    parts = [_PATTERN, *_grid(step, end, height - 22)]
    for place, line in enumerate(lines):
        parts += _bars(line, differential, WIDTH / end, STEP * place + 6)
    told = "; ".join(
        f"{line.name} {line.reviewed.percent:.1f} %, model alone "
        f"{_number(line.model.percent)} %"
        for line in lines
    )
    return (
        f'<svg viewBox="0 0 {LEFT + WIDTH + RIGHT} {height}" role="img" '
        f'aria-label="{clean(told)}" font-size="12" fill="{INK}">'
        f"{''.join(parts)}</svg>"
    )


def _grid(step: int, end: int, height: int) -> list[str]:
    parts = []
    for tick in range(0, end + 1, step):
        x = LEFT + WIDTH * tick / end
        parts.append(
            f'<line x1="{x:.1f}" x2="{x:.1f}" y1="0" y2="{height}" stroke="{GRID}"/>'
            f'<text x="{x:.1f}" y="{height + 16}" text-anchor="middle" fill="{FAINT}">'
            f"{tick} %</text>"
        )
    return parts


def _bars(
    line: DifferentialRow, differential: Differential, scale: float, y: float
) -> list[str]:
    """Draw a lineage; `scale` is the width of one per cent."""
    middle = y + TALL / 2
    parts = [
        f'<text x="{LEFT - 10}" y="{middle + 4:.1f}" text-anchor="end">'
        f"{clean(line.name)}</text>"
    ]
    low, high = line.reviewed.interval
    a, b = LEFT + low * scale, LEFT + high * scale
    x = float(LEFT)
    for part in differential.classes_of(line.key):
        if part.counted and part.reviewed.count:
            width = part.reviewed.percent * scale
            parts.append(_segment(part, x, y, width, free=a - x))
            x += width
    if not math.isnan(line.model.percent):
        parts.append(
            f'<rect x="{LEFT}" y="{y + TALL + 2:.1f}" height="{THIN}" '
            f'width="{line.model.percent * scale:.1f}" fill="url(#hatch)" '
            f'stroke="{FAINT}" stroke-width="0.8"/>'
        )
    whisker = (
        f"M{a:.1f} {middle - 4:.1f}v8M{a:.1f} {middle:.1f}H{b:.1f}"
        f"M{b:.1f} {middle - 4:.1f}v8"
    )
    parts += [
        f'<path d="{whisker}" stroke="#ffffff" stroke-width="3.6" fill="none"/>',
        f'<path d="{whisker}" stroke="{INK}" stroke-width="1.3" fill="none"/>',
        f'<text x="{LEFT + WIDTH + 14}" y="{middle + 4:.1f}" font-weight="600">'
        f"{line.reviewed.percent:.1f} %</text>"
        f'<text x="{LEFT + WIDTH + RIGHT}" y="{middle + 4:.1f}" text-anchor="end" '
        f'fill="{FAINT}">{low:.1f} to {high:.1f}</text>',
    ]
    return parts


def _segment(
    part: DifferentialRow, x: float, y: float, width: float, free: float
) -> str:
    """Draw a class; its code stands left of the whisker, `free` units away, or not."""
    code, room = "", min(width, free - 3)
    if room > LETTER * len(part.key) + 2:
        red, green, blue, _ = rgba(part.colour)
        # as bright as the eye takes it (ITU-R BT.709)
        bright = 0.2126 * red**2.2 + 0.7152 * green**2.2 + 0.0722 * blue**2.2
        ink = INK if bright > 0.2 else "#ffffff"
        code = (
            f'<text x="{x + room / 2:.1f}" y="{y + TALL / 2 + 3.6:.1f}" '
            f'text-anchor="middle" font-size="10" fill="{ink}">{clean(part.key)}</text>'
        )
    return (
        f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{TALL}" '
        f'fill="{clean(part.colour)}" stroke="{FAINT}" stroke-width="0.8"/>{code}'
    )


def _number(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:.1f}"
