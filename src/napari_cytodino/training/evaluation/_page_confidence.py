"""The sections of the page that say how far its doubt can be trusted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari_cytodino.common import (
    MISSING,
    Markup,
    facts,
    heading,
    interval,
    number,
    paragraph,
    percent,
    share,
    table,
)
from napari_cytodino.training.metrics import USUAL_ERROR

if TYPE_CHECKING:
    from collections.abc import Mapping


PLAIN = ("ece", "classwise_ece", "log_loss", "brier", "aurc", "augrc")
"""Measures without an interval."""

ACCEPTED = ("accepted_without_limit", "accepted_among_known", "accepted")
"""Strangers that are accepted by ever more rules."""

DIGITS = {"log_loss": 3, "brier": 3, "aurc": 4, "augrc": 4}
"""Decimals of those that are no share of cells."""

EXACT = (
    "Intervals in this part are Clopper and Pearson's, 95 %; with several patients or "
    "groups, counts are divided by their design effect first."
)


def doubt_sections(found: Mapping[str, Any]) -> list[str]:
    """Return the sections as HTML, in order.

    Parameters
    ----------
    found
        What `all_scores` gave.
    """
    return [
        *_confidence(found),
        *_guarantee(found),
        *_reasons(found),
        *_sets(found),
        *_unfamiliar(found),
    ]


def _value(row: Mapping[str, Any]) -> Markup:
    if row["key"] in DIGITS:
        return Markup(number(row["value"], DIGITS[row["key"]]))
    return share(row["value"], row["low"], row["high"])


def _counts(row: Mapping[str, Any]) -> Markup:
    """Return how many of how many, or how many."""
    n = f"{row['n']:,}"
    return Markup(f"{row['k']:,} of {n}" if "k" in row else n)


def _confidence(found: Mapping[str, Any]) -> list[str]:
    doubt = found["doubt"]
    rows = [(r["title"], _value(r), _counts(r), r["definition"]) for r in doubt["all"]]
    temperature = f"at temperature {found['calibration']['temperature']:g}"
    out = [
        heading("Confidence"),
        table(
            f"Confidence {temperature}, and what the checkpoint's policy accepts",
            ("measure", "value", "n", "definition"),
            rows,
        ),
        paragraph(EXACT, "meaning"),
    ]
    parts = {name: own for name, own in doubt.items() if name != "all"}
    if parts:
        names = [f"{name} (n = {rows[0]['n']:,})" for name, rows in parts.items()]
        same = zip(*parts.values(), strict=True)
        out.append(
            table(
                "The same by data set",
                ("measure", *names),
                [(kind[0]["title"], *map(_value, kind)) for kind in same],
            )
        )
    choice = found["selective"]
    out.append(
        table(
            f"The most cells that could be accepted; {choice['note']}",
            ("naive rule", "accepted", "of all", "wrong among them", "confidence from"),
            [
                (
                    f"at most {100 * p['error']:g} % wrong",
                    p["accepted"],
                    Markup(percent(p["coverage"])),
                    p["wrong"],
                    Markup(number(p["threshold"])),
                )
                for p in choice["accepted_at"]
            ],
        )
    )
    return out


def _guarantee(found: Mapping[str, Any]) -> list[str]:
    head = heading("What is guaranteed")
    made, says = found["guarantee"], found["policy"]["says"]
    if made is None:
        none = "Nothing is guaranteed"
        return [head, paragraph(f"{none}: {says}." if says else f"{none}.", "notice")]
    told = {r["key"]: r["value"] for r in found["doubt"]["all"]}
    usual = told["guaranteed_coverage"]
    lead = (
        f"For {1 - USUAL_ERROR:.1%} accuracy these cells themselves would let "
        f"{percent(told['naive_coverage'])} be accepted; the calibration "
        f"guarantees it for {'none' if usual is None else percent(usual)}."
    )
    broken = [r for r in made["rows"] if r["contradicted"]]
    out = [
        head,
        paragraph(found["policy"]["says"] or made["says"], "notice"),
        paragraph(lead),
        paragraph(f"Every row: {made['definition']}.", "meaning"),
    ]
    for row in broken:
        text = (
            f"At {row['accuracy']:.1%} these cells contradict the promise: "
            f"{row['wrong']:,} of {row['accepted']:,} are wrong."
        )
        out.append(paragraph(text, "notice"))
    for source in dict.fromkeys(r["source"] for r in made["rows"]):
        out.append(_promises(source, made["rows"]))
    return [*out, *_critical(made)]


def _promises(source: str, rows: list[dict[str, Any]]) -> str:
    own = [r for r in rows if r["source"] == source]
    where = "all test cells" if source == "all" else source
    return table(
        f"Thresholds of the calibration, applied to {where} (n = {own[0]['n']:,})",
        (
            "accuracy",
            "confidence from",
            "accepted",
            "wrong among them",
            "lineage wrong",
            "promise",
        ),
        [
            (
                f"{r['accuracy']:.1%}",
                Markup(number(r["threshold"], 4)),
                _both(r["accepted"], r, "coverage"),
                _both(r["wrong"], r, "error"),
                Markup(f"{r['lineage_wrong']:,} of {r['lineage_accepted']:,}"),
                _short(r),
            )
            for r in own
        ],
    )


def _both(count: int, row: Mapping[str, Any], key: str) -> Markup:
    """Return a count with its share of the whole."""
    part = share(row[key], row[f"{key}_low"], row[f"{key}_high"])
    return Markup(f"{count:,}: {part.html}" if row[key] is not None else MISSING)


def _short(row: Mapping[str, Any]) -> str:
    """Return the statement without its circumstances, which stand above the table."""
    if row["source"] == "all":
        return str(row["statement"]).split(" (")[0]
    return "of all sources together" if row["promised"] else "none"


def _critical(made: Mapping[str, Any]) -> list[str]:
    found = made["critical"]
    if found is None:
        return []
    word = "at most" if found["promised"] else "not kept at"
    text = (
        f"Critical cells called safe although the check let them pass: {found['k']:,} "
        f"of {found['n']:,} calibration cells, so {word} {found['risk']:.1%} "
        f"(upper bound {percent(found['bound'], 2)})."
    )
    return [paragraph(text)]


def _reasons(found: Mapping[str, Any]) -> list[str]:
    rows = found["reasons"]
    sources = list(dict.fromkeys(r["source"] for r in rows))
    kinds = dict.fromkeys((r["status"], r["reason"]) for r in rows)
    by = {(r["source"], r["status"], r["reason"]): r for r in rows}
    body = []
    for status, reason in kinds:
        own = [by.get((s, status, reason)) for s in sources]
        cells = [
            Markup(f"{r['n']:,} <small>({percent(r['share'])})</small>" if r else "0")
            for r in own
        ]
        first = own[0]
        wrong = Markup(f"{first['wrong']:,}" if first else MISSING)
        name = reason or "accepted: sure enough"
        body.append((name, status.replace("_", " "), cells[0], wrong, *cells[1:]))
    total = {r["source"]: r["of"] for r in rows}
    names = [f"{s} (n = {total[s]:,})" for s in sources]
    return [
        heading("Why cells go to review"),
        table(
            "Test cells by the rule that decides; wrong: not called by their class",
            ("rule", "outcome", names[0], "wrong among them", *names[1:]),
            body,
        ),
    ]


def _sets(found: Mapping[str, Any]) -> list[str]:
    sets = found["sets"]
    if sets is None:
        return []
    level = "" if sets["level"] is None else f"; aimed at: {sets['level']:.0%}"
    rows = [
        (
            r["name"],
            r["kind"],
            Markup(f"{r['k']:,} of {r['n']:,}"),
            share(r["value"], r["low"], r["high"]),
            Markup(number(r["mean_size"], 2)),
            Markup(percent(r["single"])),
            Markup(percent(r["empty"])),
        )
        for r in sets["rows"]
    ]
    return [
        heading("Sets of possible classes"),
        paragraph(f"Sets: {sets['definition']}{level}.", "meaning"),
        table(
            "How often a set holds the true class, and how large it is",
            ("cells", "kind", "held", "coverage", "mean size", "one class", "empty"),
            rows,
        ),
    ]


def _unfamiliar(found: Mapping[str, Any]) -> list[str]:
    made = found["unfamiliar"]
    if made is None:
        return []
    own = made["unlike"]
    text = (
        f"Of {made['n']:,} test cells {own['k']:,} count as unlike the training cells: "
        f"{percent(own['value'])} ({percent(own['low'])[:-2]} to "
        f"{percent(own['high'])[:-2]})."
    )
    out = [heading("Unlike the training cells"), paragraph(text)]
    if not made["rows"]:
        return out
    rows = [
        (
            r["name"],
            r["n"],
            interval(r["auroc"], r["auroc_low"], r["auroc_high"]),
            share(r["fpr95"], r["fpr95_low"], r["fpr95_high"]),
            share(r["familiar"], r["familiar_low"], r["familiar_high"]),
            *(Markup(MISSING if r[key] is None else f"{r[key]:,}") for key in ACCEPTED),
        )
        for r in made["rows"]
    ]
    head = (
        "strangers", "n", "AUROC", "FPR95", "taken for familiar", "no limit",
        "cell limit", "all rules",
    )  # fmt: skip
    meaning = (
        f"AUROC: {made['auroc_definition']}. FPR95: {made['fpr95_definition']}. Taken "
        f"for familiar: {made['familiar_definition']}."
    )
    return [
        *out,
        table(
            "Strangers against the test cells; on the right how many the policy "
            "accepts without a limit, with that of single cells, and by all rules",
            head,
            rows,
        ),
        facts((r["name"], r["what"]) for r in made["rows"]),
        paragraph(meaning, "meaning"),
    ]
