"""The model card: its words come from here, its figures from the evaluation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from napari_cytodino.core.decisions import DecisionPolicy
    from napari_cytodino.training.config import Recipe

BEGIN, END = "<!-- figures -->", "<!-- /figures -->"
"""What stands between them is written by the evaluation, and compared with it."""

LICENCE = "cc-by-4.0"
"""Of the weights; it follows from the data's licences."""

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
            lines.append(
                f"| {view} | {source} | {r['n']} | {r['classes']} | "
                f"{r['accuracy']:.3f} | {r['macro_f1']:.3f} ({r['macro_f1_low']:.3f} to "
                f"{r['macro_f1_high']:.3f}) | {r['weighted_f1']:.3f} | "
                f"{_percent(r['accepted'])} % | {r['accepted_wrong']} of "
                f"{r['accepted_n']} |"
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


def _data(recipe: Recipe, counts: Mapping[str, Mapping[str, int]]) -> list[str]:
    if recipe.synthetic:
        lines = [
            "SYNTHETIC cells drawn in code by `napari_cytodino.core.synthetic`, "
            f"{recipe.synthetic} a class for training, others for calibration and test.",
            "No real cell was seen. It recognises drawings, not disease.",
        ]
    else:
        lines = [f"- `{s}`: {SOURCES[s]}" for s in sorted(counts)]
        lines += [
            "",
            "Split, saved as `training/recipes/"
            + recipe.split
            + "` in the package: whole "
            "background groups of the marrow (the nearest thing to a slide id; there are "
            "no patient ids), each class of the blood in equal shares with "
            "near-duplicates kept together.",
        ]
    parts = list(next(iter(counts.values())))
    lines += [
        "",
        "| source | " + " | ".join(parts) + " |",
        "|---" * (len(parts) + 1) + "|",
    ]
    for source, by_part in sorted(counts.items()):
        cells = " | ".join(str(by_part[p]) for p in parts)
        lines.append(f"| {source} | {cells} |")
    return lines


def _limits(recipe: Recipe) -> list[str]:
    if recipe.synthetic:
        return ["- Not for any cell that was ever alive: for demonstrations and tests."]
    return [
        *(f"- {line}" for line in recipe.limits),
        "- Thresholds are tuned, no guarantee.",
    ]


def write_card(
    recipe: Recipe,
    policy: DecisionPolicy,
    counts: Mapping[str, Mapping[str, int]],
    results: Mapping[str, Any],
    split_sha256: str,
) -> str:
    """Return the whole model card.

    Parameters
    ----------
    recipe : Recipe
        What was run.
    policy : DecisionPolicy
        The thresholds in ``calibration.json``.
    counts : mapping
        Source -> part -> number of cells.
    results : mapping
        From `evaluate_crops`, of the stored weights on the test part.
    split_sha256 : str
        Of the saved split; empty with synthetic cells.
    """
    taught = (
        "An EfficientNet-Lite0 with ImageNet weights was fine-tuned on the training part "
        "and distilled into it (labels, softened answers and feature maps)."
        if recipe.teacher
        else "It learnt from labels alone."
    )
    plan = recipe.model
    sections = [
        f"---\nlicense: {LICENCE}\nlibrary_name: transformers\n"
        "pipeline_tag: image-classification\n---",
        f"# {recipe.title}",
        "**Research use only. Not a medical device; never for a diagnosis or a decision "
        "about a person's care.**",
        "## Model",
        f"DINOv3 ViT architecture trained from scratch ({plan.layers} layers, width "
        f"{plan.width}, patches of {plan.patch} px, input {recipe.size} px = "
        f"{recipe.field_of_view} px of the 250 px crops) with a query-token decoder head "
        f"({plan.head_layers} layers). {taught} Weights stored in half precision, run in "
        f"float32. Made by `python -m napari_cytodino.training train {recipe.name}`.",
        "## Data",
        "\n".join(_data(recipe, counts)),
        "## Figures",
        "Test part, stored weights, one crop a cell, printed by `python -m "
        f"napari_cytodino.training evaluate {recipe.name} --data DATA --out OUT`. The "
        "surroundings are what lies outside a central disc of 0.45 sides radius.",
        f"{BEGIN}\n\n{figures_block(results)}\n\n{END}",
        "## Decisions",
        f"Temperature {policy.temperature} (calibration part A); a class is accepted from "
        f"{policy.min_confidence}, a lineage from {policy.min_lineage}, chosen on part B "
        f"so that at most {_percent(recipe.accepted_error)} % of the accepted cells of "
        "each source were wrong there. Tuned, no guarantee."
        + (f" Split sha256 `{split_sha256}`." if split_sha256 else ""),
        "## Limits",
        "\n".join(_limits(recipe)),
        "## Licence",
        _licence(recipe),
    ]
    return "\n\n".join(sections) + "\n"


def _licence(recipe: Recipe) -> str:
    if recipe.synthetic:
        return "CC BY 4.0."
    return (
        "CC BY 4.0. Name Matek et al. 2021 (Blood, 10.1182/blood.2020010568) and "
        "Acevedo et al. 2020 (Data in Brief, 10.1016/j.dib.2020.105474), whose images, "
        "changed as said above, it was trained on."
    )
