"""The model card: its words come from a template, its figures from the evaluation."""

from __future__ import annotations

from importlib import resources
from string import Template
from typing import TYPE_CHECKING, Any

from napari_cytodino.uncertainty import ERROR_RATES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from napari_cytodino.training.recipes import Recipe
    from napari_cytodino.uncertainty import Calibration


BEGIN, END = "<!-- figures -->", "<!-- /figures -->"
"""What stands between them is written by the evaluation, and compared with it."""

DECISIONS = "## Decisions"
"""Heading of the section that a calibration writes."""

SOURCES = {
    "mll-marrow": (
        "bone marrow, Munich Leukemia Laboratory: Matek et al. 2021, TCIA "
        "10.7937/TCIA.AXH3-T579, CC BY 4.0, a selection of 5,295 images, re-encoded"
    ),
    "pbc-blood": (
        "peripheral blood, Hospital Clinic of Barcelona: Acevedo et al. 2020, Mendeley "
        "10.17632/snkd93bnjr.1, CC BY 4.0, 12,842 images, cropped and re-encoded"
    ),
}
"""Each data set by the folder it lies in."""

TAUGHT = (
    "An EfficientNet-Lite0 with ImageNet weights was fine-tuned on the training part "
    "and distilled into it (labels, softened answers and feature maps)."
)
"""Said of a model that had a teacher."""

TURNED = {
    1: "One answer a crop.",
    2: "The answers of two opposite turns of a crop are averaged.",
    4: "The answers of the four quarter turns of a crop are averaged.",
}
"""Said by the number of turns."""

SPLIT = (
    "Split, saved in the package as `training/recipes/{name}`: whole background groups "
    "of the marrow (the nearest thing to a slide id; there are no patient ids), each "
    "class of the blood in equal shares with near-duplicates kept together."
)
"""Said of a model of real cells."""

DRAWN = (
    "SYNTHETIC cells drawn in code by `napari_cytodino.synthetic`, {n} a class "
    "for training, others for calibration and test. No real cell was seen. It "
    "recognises drawings, not disease."
)
"""The notice in the card of a model of synthetic cells."""

CITE = (
    "CC BY 4.0. Name Matek et al. 2021 (Blood, 10.1182/blood.2020010568) and Acevedo "
    "et al. 2020 (Data in Brief, 10.1016/j.dib.2020.105474), whose images, changed as "
    "said above, it was trained on. The ImageNet weights were Apache-2.0."
)
"""The licence of weights made from these data."""


def _percent(value: float) -> str:
    return f"{100 * value:.1f}"


def _summary(results: Mapping[str, Any]) -> list[str]:
    lines = [
        "| view | source | cells | classes | accuracy | macro F1 (95 % interval) | "
        "weighted F1 | accepted | wrong among accepted |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for view, by_source in results.items():
        for source, r in by_source.items():
            low, high = r["macro_f1_low"], r["macro_f1_high"]
            macro = f"{r['macro_f1']:.3f} ({low:.3f} to {high:.3f})"
            lines.append(
                f"| {view} | {source} | {r['n']} | {r['classes']} | "
                f"{r['accuracy']:.3f} | {macro} | "
                f"{r['weighted_f1']:.3f} | {_percent(r['accepted'])} % | "
                f"{r['accepted_wrong']} of {r['accepted_n']} |"
            )
    return lines


def _by_class(source: str, rows: list[dict[str, Any]]) -> list[str]:
    lines = [
        "",
        f"{source}, as it is:",
        "",
        "| class | cells | precision | recall (95 % interval) | F1 |",
        "|---|---|---|---|---|",
    ]
    for r in rows:
        lines.append(
            f"| {r['code']} | {r['n']} | {r['precision']:.3f} | {r['recall']:.3f} "
            f"({r['recall_low']:.3f} to {r['recall_high']:.3f}) | {r['f1']:.3f} |"
        )
    return lines


def figures_block(results: Mapping[str, Any]) -> str:
    """Return the figures as Markdown, the same for the card and for the terminal."""
    lines = _summary(results)
    first = next(iter(results.values()))
    for source, r in first.items():
        lines += _by_class(source, r["per_class"])
    return "\n".join(lines)


def figures_of(card: str) -> str:
    """Return the figures that a card claims; empty where it claims none."""
    if BEGIN not in card or END not in card:
        return ""
    return card.split(BEGIN, 1)[1].split(END, 1)[0].strip()


def with_figures(card: str, figures: str) -> str:
    """Return the card with other figures; unchanged where it claims none."""
    own = figures_of(card)
    return card.replace(own, figures, 1) if own else card


def with_decisions(card: str, calibration: Calibration, note: str = "") -> str:
    """Return the card with its section on decisions written anew, or added.

    Parameters
    ----------
    card
        The whole card.
    calibration
        What the section says.
    note
        What else to say, at its end.
    """
    text = decisions_block(calibration) + (f"\n\n{note}" if note else "")
    block = f"{DECISIONS}\n\n{text}\n"
    before, found, after = card.partition(f"{DECISIONS}\n")
    if not found:
        return f"{card.rstrip()}\n\n{block}"
    rest = after.partition("\n## ")
    return before + block + (f"\n## {rest[2]}" if rest[1] else "")


def decisions_block(calibration: Calibration) -> str:
    """Return, as Markdown, what thresholds promise and by which numbers."""
    curve, policy = calibration.curve, calibration.policy()
    lines = [
        f"Temperature {calibration.temperature}. By default: "
        f"{policy.guarantee or calibration.why_not(calibration.risk)}.",
        "",
        "| right among accepted, at least | a class is accepted from | accepted of "
        f"{curve.cells} | wrong among them | |",
        "|---|---|---|---|---|",
    ]
    for risk in ERROR_RATES:
        row = calibration.row_by_risk[risk]
        if row is None:
            lines.append(f"| {1 - risk:.1%} | | none | | no guarantee |")
            continue
        lines.append(
            f"| {1 - risk:.1%} | {calibration.policy(risk).min_confidence:.4f} | "
            f"{curve.accepted[row] / curve.cells:.1%} | {curve.wrong[row]} of "
            f"{curve.accepted[row]} | {calibration.guarantee_level} |"
        )
    return "\n".join([*lines, "", *_statements(calibration)])


def _statements(calibration: Calibration) -> list[str]:
    """Return the statements beside the one on classes, and how they were reached."""
    lines = [
        f"Learn-then-test with fixed-sequence testing on calibration part B; with a "
        f"chance of {calibration.delta:.0%} at most one of three statements is wrong: "
        "this one, the like one on lineages, and that on critical cells. Each line "
        "holds by itself, for an accuracy chosen beforehand, not for the most pleasing "
        "line."
    ]
    missed = calibration.missed
    if missed is not None and missed.cells:
        kept = "reached" if missed.bound <= missed.risk else "NOT reached"
        lines.append(
            f"Critical cells called harmless although no more than "
            f"{calibration.max_critical:.1%} was left to critical classes: "
            f"{missed.missed} of {missed.cells}, that is at most {missed.bound:.2%} "
            f"({1 - calibration.delta_per_statement:.1%} sure; the aim of "
            f"{missed.risk:.0%} is {kept})."
        )
    sets = calibration.facts.get("sets")
    checked = (
        f" (part A's quantiles; {sets['held']} of {sets['cells']} on part B)"
        if sets
        else ""
    )
    lines.append(
        f"Cells farther from the training cells than {calibration.familiar:.0%} of "
        "calibration part A go to review; that is a quantile, no guarantee. Sets of "
        f"possible classes hold the true one for {calibration.set_level:.0%} of cells "
        f"of each lineage{checked}."
    )
    if calibration.rare:
        lines.append(
            "Too rare to calibrate, so that a cell that may be one goes to review: "
            f"{', '.join(calibration.rare)}."
        )
    return [line for text in lines for line in (text, "")][:-1]


def _counts(counts: Mapping[str, Mapping[str, int]]) -> str:
    parts = list(next(iter(counts.values())))
    lines = ["| source | " + " | ".join(parts) + " |", "|---" * (len(parts) + 1) + "|"]
    for source, by_part in sorted(counts.items()):
        cells = " | ".join(str(by_part[p]) for p in parts)
        lines.append(f"| {source} | {cells} |")
    return "\n".join(lines)


def _data(recipe: Recipe, sources: list[str]) -> str:
    if recipe.synthetic:
        return DRAWN.format(n=recipe.synthetic)
    lines = [f"- `{source}`: {SOURCES[source]}" for source in sources]
    return "\n".join([*lines, "", SPLIT.format(name=recipe.split)])


def write_card(
    recipe: Recipe,
    calibration: Calibration,
    counts: Mapping[str, Mapping[str, int]],
    results: Mapping[str, Any],
    split_sha256: str,
) -> str:
    """Return the whole model card.

    Parameters
    ----------
    recipe : Recipe
        What was run.
    calibration : Calibration
        What is in ``calibration.json``.
    counts : mapping
        Source -> part -> number of cells.
    results : mapping
        From `figures_with`, of the stored weights on the test part.
    split_sha256 : str
        Of the saved split; empty with synthetic cells.
    """
    folder = resources.files("napari_cytodino.training.evaluation")
    template = Template((folder / "card.md").read_text(encoding="utf-8"))
    plan = recipe.model
    return template.substitute(
        title=recipe.title,
        name=recipe.name,
        layers=plan.layers,
        width=plan.width,
        patch=plan.patch,
        size=recipe.size,
        field=recipe.field_of_view,
        head_layers=plan.head_layers,
        taught=TAUGHT if recipe.teacher else "It learnt from labels alone.",
        turned=TURNED[plan.turns],
        data=_data(recipe, sorted(counts)),
        counts=_counts(counts),
        figures=f"{BEGIN}\n\n{figures_block(results)}\n\n{END}",
        decisions=decisions_block(calibration),
        split=f"Split sha256 `{split_sha256}`." if split_sha256 else "",
        limits="\n".join(f"- {line}" for line in recipe.limits),
        licence="CC BY 4.0." if recipe.synthetic else CITE,
    )
