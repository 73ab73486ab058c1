"""Cells in clouds, one a class, with what a checkpoint says of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from napari_cytodino.teaching.lessons import Lessons

if TYPE_CHECKING:
    from collections.abc import Callable

    Make = Callable[..., Lessons]


@pytest.fixture(scope="session")
def make_lessons() -> Make:
    """Return what makes lessons of classes c0, c1 ... from the number of each cell.

    Their features lie in one cloud a class, ``apart`` wide; the checkpoint, which knows
    ``known`` classes, says ``said`` (else the truth) of each with a logit of ``sure``.
    """

    def make(
        targets: Any,
        *,
        said: Any = None,
        known: int = 3,
        apart: float = 3.0,
        sure: float = 6.0,
        width: int = 20,
        seed: int = 0,
        groups: Any = None,
        **changes: Any,
    ) -> Lessons:
        targets = np.asarray(targets)
        said = targets if said is None else np.asarray(said)
        rng, n = np.random.default_rng(seed), len(targets)
        centres = np.random.default_rng(99).normal(size=(9, width)) * apart
        logits = rng.normal(0, 0.5, (n, known))
        rows = np.flatnonzero((said >= 0) & (said < known))
        logits[rows, said[rows]] += sure
        values = {
            "features": (centres[targets] + rng.normal(size=(n, width))).astype(
                np.float16
            ),
            "logits": logits.astype(np.float32),
            "unfamiliarity": rng.uniform(0, 1, n).astype(np.float32),
            "codes": tuple(f"c{target}" for target in targets),
            "keys": tuple(rng.bytes(16).hex() for _ in targets),
            "groups": ("",) * n if groups is None else tuple(groups),
            "drawn": np.zeros(n, np.bool_),
        }
        return Lessons(**values | changes)

    return make


@pytest.fixture(scope="session")
def same() -> Callable[[Lessons, Lessons], bool]:
    """Return what tells whether lessons are the same, bit for bit."""

    def bits(lessons: Lessons) -> tuple[Any, ...]:
        return tuple(
            (part.dtype, part.shape, part.tobytes())
            if isinstance(part, np.ndarray)
            else part
            for part in vars(lessons).values()
        )

    return lambda one, two: bits(one) == bits(two)
