"""Teach a checkpoint a laboratory's cells: features, head, figures, profile."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_cytodino.cells import CropBatch, CropStack, iter_series
from napari_cytodino.checkpoints import (
    Checkpoint,
    Profile,
    load_checkpoint,
    save_profile,
)
from napari_cytodino.common import InputError, no_progress
from napari_cytodino.inference import Classifier, side_of_crops
from napari_cytodino.teaching import (
    Lessons,
    called,
    fit_head,
    kept_apart,
    lacking,
    merge,
    new_class,
    profile_card,
    shipped_classes,
    taught_policy,
    with_classes,
)
from napari_cytodino.training.metrics import classification_report
from napari_cytodino.training.teaching.reading import codes_of, read_taught
from napari_cytodino.uncertainty import Predictions

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from napari_cytodino.taxonomy import CellClass, Taxonomy


@dataclass(frozen=True)
class Outcome:
    """What teaching came to.

    Attributes
    ----------
    checkpoint : Checkpoint
        The profile, as it lies on the disk.
    lines : tuple of str
        What was learned, measured and left out, in words.
    report : dict
        `classification_report` of the cells, each judged by a head taught without it.
    """

    checkpoint: Checkpoint
    lines: tuple[str, ...]
    report: dict[str, Any]


def teach(
    cells: Any,
    verdicts: Sequence[str],
    checkpoint: Checkpoint | str = "starter",
    *,
    out: str | Path,
    field_of_view: float | None = None,
    groups: Sequence[str] | None = None,
    new_classes: Iterable[CellClass] = (),
    device: str = "auto",
) -> Checkpoint:
    """Teach a checkpoint with single cells and their classes.

    Parameters
    ----------
    cells : (N, S, S, 3) uint8 array
        A cell in the middle of each crop.
    verdicts : sequence of str
        The class of each.
    checkpoint : Checkpoint or str
        What to teach: a name, a folder, a Hub id, or a profile to go on with.
    out : str or Path
        Folder of the profile.
    field_of_view : float, optional
        Side of what the model sees, in pixels of the crops; else the checkpoint's.
    groups : sequence of str, optional
        Patient or image of each cell.
    new_classes : iterable of CellClass
        Classes of your own.
    device : str

    Returns
    -------
    Checkpoint
        The profile.

    Raises
    ------
    InputError
        When the cells cannot be taught with; nothing is written then.
    """
    stack = CropStack(np.asarray(cells))
    codes = list(verdicts)
    if stack.count != len(codes):
        raise InputError(
            f"{stack.count} cells have {len(codes)} verdicts; give one for each cell."
        )
    opened = load_checkpoint(checkpoint) if isinstance(checkpoint, str) else checkpoint
    side = side_of_crops(opened.preprocessing, field_of_view=field_of_view)
    classifier = Classifier(opened, device, dtype=opened.dtype)
    lessons = lessons_of(
        iter_series(stack, side, classifier.batch_size),
        codes,
        list(groups) if groups is not None else [""] * len(codes),
        classifier,
    )
    classes, place = tuple(new_classes), Path(out)
    return teach_lessons([lessons], opened, place, classes, field_of_view).checkpoint


def teach_files(
    taught: Sequence[Path],
    checkpoint: str,
    out: Path,
    *,
    field_of_view: float | None = None,
    new_classes: tuple[CellClass, ...] = (),
    device: str = "auto",
    progress: Callable[[int, int], None] = no_progress,
) -> Outcome:
    """Teach a checkpoint with labelled cells on disk; the command ``teach``.

    Parameters
    ----------
    taught : sequence of Path
        As `read_taught` takes them.
    checkpoint, out, field_of_view, new_classes, device
        As for `teach`.
    progress
        Called with the number of cells done and of all.
    """
    opened = load_checkpoint(checkpoint)
    more = (c.code for c in shipped_classes(opened.taxonomy))
    wide = with_classes(opened.taxonomy, (*more, *new_classes))
    given = [cells for path in taught for cells in read_taught(path, wide)]
    noted = (one for cells in given for one in cells.classes)
    new_classes = (*new_classes, *noted)
    with_classes(opened.taxonomy, _needed(codes_of(given), new_classes))
    side = side_of_crops(opened.preprocessing, field_of_view=field_of_view)
    classifier = Classifier(opened, device, dtype=opened.dtype)
    total, done, parts = sum(len(cells.files) for cells in given), 0, []
    for cells in given:
        before = done

        def update(n: int, before: int = before) -> None:
            progress(before + n, total)

        parts.append(
            lessons_of(
                cells.crops(side, classifier.batch_size),
                [file.code for file in cells.files],
                [file.group for file in cells.files],
                classifier,
                update,
                [file.path for file in cells.files],
            )
        )
        done += len(cells.files)
    return teach_lessons(parts, opened, out, new_classes, field_of_view)


def classes_of(texts: Sequence[str], checkpoint: str) -> tuple[CellClass, ...]:
    """Return classes of the user's own, as written on the command line.

    Parameters
    ----------
    texts : sequence of str
        ``CODE=Name``, or ``CODE=Name=lineage``.
    checkpoint : str
        Whose lineages there are.
    """
    taxonomy = load_checkpoint(checkpoint).taxonomy
    found: list[CellClass] = []
    for text in texts:
        code, _, rest = text.partition("=")
        name, _, lineage = rest.partition("=")
        found.append(new_class(taxonomy, code.strip(), name.strip(), lineage.strip()))
        taxonomy = with_classes(taxonomy, found[-1:])
    return tuple(found)


def lessons_of(
    crops: Iterable[CropBatch],
    codes: Sequence[str],
    groups: Sequence[str],
    classifier: Classifier,
    progress: Callable[[int], None] = lambda done: None,
    names: Sequence[str] = (),
) -> Lessons:
    """Read the features of cells, as lessons.

    Parameters
    ----------
    crops, codes, groups
        Of each cell, in one order.
    classifier : Classifier
    progress
        Called with the number of cells done.
    names : sequence of str
        What to call a cell that cannot be read; its number without one.

    Raises
    ------
    InputError
        When a picture cannot be read.
    """
    kept, done = [], 0
    for batch in classifier.run(crops):
        kept.append(batch)
        done += len(batch.rows)
        progress(done)
    if not kept:
        raise InputError("There are 0 cells to teach with; give some, with classes.")
    read = Predictions.like(kept[0], len(codes)).with_batches(kept)
    bad = np.flatnonzero(~(read.readable & read.done))
    if len(bad):
        first = names[bad[0]] if names else f"number {bad[0] + 1}"
        raise InputError(
            f"{len(bad)} of {len(codes)} taught cells cannot be read, the first is "
            f"{first} ({codes[bad[0]]}); mend or remove these pictures."
        )
    return Lessons(
        read.features,
        read.logits,
        read.unfamiliarity,
        tuple(codes),
        tuple(key.tobytes().hex() for key in read.keys),
        tuple(groups),
        np.zeros(len(codes), np.bool_),
    )


def teach_lessons(
    parts: Sequence[Lessons],
    opened: Checkpoint,
    out: Path,
    new_classes: tuple[CellClass, ...] = (),
    field_of_view: float | None = None,
) -> Outcome:
    """Fit a head to lessons, measure it, and write the profile; nothing half-way.

    Parameters
    ----------
    parts : sequence of Lessons
    opened : Checkpoint
    out : Path
    new_classes : tuple of CellClass
    field_of_view : float, optional
        In which the lessons were read; the profile keeps it.

    Raises
    ------
    InputError
        When there is nothing to tell apart.
    CheckpointError
        When the folder cannot be written.
    """
    known = opened.taught
    merged = merge([*parts, known.lessons] if known else parts)
    lessons = merged.lessons
    base = known.base_taxonomy if known else opened.taxonomy
    policy = known.base_policy if known else opened.policy
    taxonomy = with_classes(opened.taxonomy, _needed(lessons.codes, new_classes))
    taught = fit_head(lessons, taxonomy.codes, base.codes, policy.temperature)
    targets = np.array([taxonomy.index(code) for code in lessons.codes], np.int64)
    report = classification_report(targets, called(taught), taxonomy.codes)
    lines = _lines(lessons, merged.contradictions, report, taxonomy)
    profile = Profile(
        taught.head,
        lessons,
        taxonomy,
        known.base if known else opened.name,
        known.base_sha256 if known else opened.sha256,
        base,
        policy,
        lines[0],
    )
    card = profile_card(
        out.name,
        profile.base,
        profile.base_sha256,
        lessons,
        taxonomy,
        base.codes,
        lines,
    )
    thresholds = taught_policy(policy, lessons, base.codes)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"{out.parent} cannot be made ({error.strerror}); choose another folder."
        ) from error
    saved = save_profile(out, opened, profile, thresholds, card, field_of_view)
    return Outcome(load_checkpoint(saved.resolve()), lines, report)


def _needed(
    codes: Iterable[str], new_classes: tuple[CellClass, ...]
) -> list[str | CellClass]:
    own = {c.code: c for c in new_classes}
    return [own.get(code, code) for code in sorted(set(codes))]


def _lines(
    lessons: Lessons,
    contradictions: Sequence[tuple[str, tuple[str, ...]]],
    report: dict[str, Any],
    taxonomy: Taxonomy,
) -> tuple[str, ...]:
    """Say what was learned, the sentence that matters most first."""
    groups = len(set(lessons.groups))
    apart = f", patients or images apart ({groups})" if kept_apart(lessons) else ""
    macro, low, high = (report[f"macro_f1{end}"] for end in ("", "_low", "_high"))
    lines = [
        f"taught with {len(lessons)} cells of {report['classes']} classes; "
        f"cross-validated{apart}: macro F1 {macro:.2f} ({low:.2f} to {high:.2f}), "
        f"accuracy {report['accuracy']:.2f}",
    ]
    lines += [
        f"{row['code']}: {row['n']} cells, F1 {row['f1']:.2f}"
        for row in report["per_class"]
    ]
    few = lacking(lessons)
    if few:
        lines.append(f"Few examples, teach more of: {', '.join(few)}.")
    for _, codes in contradictions[:5]:
        lines.append(f"One cell was called {' and '.join(codes)}; it taught nothing.")
    if len(contradictions) > 5:
        lines.append(f"{len(contradictions) - 5} more cells were called differently.")
    return tuple(lines)
