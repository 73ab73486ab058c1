"""The model card of a laboratory's profile."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_cytodino.common import RESEARCH_USE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_cytodino.taxonomy import Taxonomy
    from napari_cytodino.teaching.lessons import Lessons


def profile_card(
    name: str,
    base: str,
    base_sha256: str,
    lessons: Lessons,
    taxonomy: Taxonomy,
    own_codes: Sequence[str],
    lines: Sequence[str],
) -> str:
    """Return the card, in Markdown.

    Parameters
    ----------
    name : str
        Of the profile.
    base, base_sha256 : str
        The checkpoint that was taught on.
    lessons : Lessons
    taxonomy : Taxonomy
        Of the taught head.
    own_codes : sequence of str
        Classes that the base knows.
    lines : sequence of str
        What was measured, the most important first.
    """
    counts = lessons.counts()
    rows = [
        f"| {c.code} | {c.name} | {counts[c.code]} |"
        for c in taxonomy.classes
        if c.code in counts
    ]
    others = [code for code in own_codes if code not in counts]
    measured = "\n".join(f"- {line}" for line in lines)
    return f"""# {name}: a laboratory's profile

**{RESEARCH_USE}**

Base: `{base}` (sha256 of its manifest `{base_sha256}`).
Its weights are unchanged; a linear head reads its features and was fitted to
{len(lessons)} cells whose class a reader gave.

## Cells taught

| class | name | cells |
|---|---|---|
{chr(10).join(rows)}

{f"Not taught, as the base knows them: {', '.join(others)}." if others else ""}

## Measured

Each cell was judged by a head that was taught without it (cross-validation in five
parts; the penalty was chosen on the same parts, so that with few cells the figures are
a little too good).

{measured}

## Limits

- The figures are of the cells taught, which were chosen by whoever taught; of another
  laboratory, stain or scanner they say nothing.
- Thresholds are those of the base, without its promise: nothing is guaranteed.
- The folder holds features of the taught cells, no pictures of them.
"""
