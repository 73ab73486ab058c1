"""A laboratory's profile: a checkpoint with a taught head, and what it was taught."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_cytodino.checkpoints._tensors import verified_arrays, verified_bytes
from napari_cytodino.checkpoints.folder import (
    TAUGHT,
    TAUGHT_ARRAYS,
    parse_json,
)
from napari_cytodino.common import CheckpointError, CytoDinoError, json_text
from napari_cytodino.taxonomy import Taxonomy
from napari_cytodino.teaching import Lessons, TaughtHead
from napari_cytodino.uncertainty import DecisionPolicy

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray


SCHEMA = 1
"""Version of ``taught.json``."""

_ARRAYS = ("weights", "bias", "features", "logits", "unfamiliarity", "drawn")


@dataclass(frozen=True)
class Profile:
    """What was taught on a checkpoint.

    Attributes
    ----------
    head : TaughtHead
    lessons : Lessons
        Teaching goes on from these.
    taxonomy : Taxonomy
        Classes of the head, new ones last.
    base : str
        Name of the checkpoint that was taught on.
    base_sha256 : str
        Of its manifest.
    base_taxonomy : Taxonomy
        Its classes, in the order of its logits.
    base_policy : DecisionPolicy
        Its thresholds; its temperature belongs to the head.
    summary : str
        What was measured, in one sentence.
    """

    head: TaughtHead
    lessons: Lessons
    taxonomy: Taxonomy
    base: str
    base_sha256: str
    base_taxonomy: Taxonomy
    base_policy: DecisionPolicy
    summary: str

    def texts(self) -> dict[str, str]:
        """Return the text file of the folder, by name."""
        content = {
            "schema": SCHEMA,
            "base": {
                "name": self.base,
                "sha256": self.base_sha256,
                "taxonomy": self.base_taxonomy.to_dict(),
                "policy": asdict(self.base_policy),
            },
            "taxonomy": self.taxonomy.to_dict(),
            "head": {
                "known": self.head.known.tolist(),
                "trust": self.head.trust,
                "penalty": self.head.penalty,
            },
            "cells": {
                "codes": list(self.lessons.codes),
                "keys": list(self.lessons.keys),
                "groups": list(self.lessons.groups),
            },
            "summary": self.summary,
        }
        return {TAUGHT: json_text(content)}

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return the arrays of the folder, by name."""
        unlike = self.lessons.unfamiliarity
        return {
            "weights": self.head.weights,
            "bias": self.head.bias,
            "features": self.lessons.features,
            "logits": self.lessons.logits,
            # -1 for a distance that nobody knows
            "unfamiliarity": np.where(np.isnan(unlike), np.float32(-1), unlike),
            "drawn": self.lessons.drawn.astype(np.uint8),
        }


def read_profile(folder: Path, identity: str) -> Profile | None:
    """Read what was taught on a verified checkpoint, None where nothing was.

    Raises
    ------
    CheckpointError
        When the files changed since they were verified, or contradict each other.
    """
    path = folder / TAUGHT
    if not path.is_file():
        return None
    content = parse_json(verified_bytes(path, identity), path)
    arrays: dict[str, Any] = dict(verified_arrays(folder / TAUGHT_ARRAYS, identity))
    try:
        if content["schema"] != SCHEMA:
            raise CheckpointError(
                f"{path} has schema {content['schema']!r}, this version reads "
                f"{SCHEMA}; use the version that wrote it."
            )
        return _checked(_profile(content, arrays), path)
    except CheckpointError:
        raise
    except (CytoDinoError, ArithmeticError, LookupError, TypeError) as error:
        raise CheckpointError(
            f"{path} cannot be used ({error}); teach the checkpoint again."
        ) from error
    except (ValueError, AttributeError) as error:
        raise CheckpointError(
            f"{path} cannot be used ({error}); teach the checkpoint again."
        ) from error


def _profile(content: dict[str, Any], arrays: dict[str, Any]) -> Profile:
    if set(arrays) != set(_ARRAYS):
        raise ValueError(f"arrays are {', '.join(sorted(arrays))}")
    cells, head, base = content["cells"], content["head"], content["base"]
    unlike = arrays["unfamiliarity"].astype(np.float32)
    return Profile(
        TaughtHead(
            np.array(head["known"], np.int64),
            float(head["trust"]),
            arrays["weights"].astype(np.float32),
            arrays["bias"].astype(np.float32),
            float(head["penalty"]),
        ),
        Lessons(
            arrays["features"].astype(np.float16),
            arrays["logits"].astype(np.float32),
            np.where(unlike < 0, np.nan, unlike).astype(np.float32),
            tuple(map(str, cells["codes"])),
            tuple(map(str, cells["keys"])),
            tuple(map(str, cells["groups"])),
            arrays["drawn"].astype(np.bool_),
        ),
        Taxonomy.from_dict(content["taxonomy"]),
        str(base["name"]),
        str(base["sha256"]),
        Taxonomy.from_dict(base["taxonomy"]),
        DecisionPolicy.from_dict(base["policy"]),
        str(content["summary"]),
    )


def _checked(profile: Profile, path: Path) -> Profile:
    head, lessons = profile.head, profile.lessons
    classes, own = len(profile.taxonomy), len(profile.base_taxonomy)
    index = {code: place for place, code in enumerate(profile.base_taxonomy.codes)}
    known = [index.get(code, -1) for code in profile.taxonomy.codes]
    finite = (head.weights, head.bias, lessons.features, lessons.logits)
    good = (
        head.known.shape == head.bias.shape == (classes,)
        and head.weights.shape == (lessons.features.shape[1], classes)
        and lessons.logits.shape[1] == own
        and lessons.drawn.ndim == lessons.unfamiliarity.ndim == 1
        and head.known.tolist() == known
        and all(bool(np.isfinite(part).all()) for part in finite)
        and bool(np.isfinite([head.trust, head.penalty]).all())
        and set(lessons.codes) <= set(profile.taxonomy.codes)
    )
    if not good:
        raise CheckpointError(
            f"{path} and {TAUGHT_ARRAYS} contradict each other; teach the checkpoint "
            "again."
        )
    return profile
