"""What made a table: checkpoint and its hash, policy, versions, time."""

from __future__ import annotations

import platform
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from importlib import metadata
from typing import Any

RESEARCH_USE = (
    "For research use only. Not a medical device; not for diagnosis or treatment. "
    "Every classification requires confirmation by a qualified morphologist."
)
"""Said in the README, the dock, every report and every export."""

_PACKAGES = ("napari-cytodino", "numpy", "scikit-image", "torch", "transformers")


def versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that shape a result."""
    found = {"python": platform.python_version()}
    for name in _PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = "not installed"
    return found


@dataclass(frozen=True)
class Provenance:
    """How a result came about; written into or beside every file.

    Attributes
    ----------
    image
        Name of the picture or folder.
    checkpoint, checkpoint_sha256
        The model; the hash is that of its manifest.
    synthetic
        True when the model knows synthetic cells only.
    policy
        The thresholds in force, as plain values.
    settings
        Field of view, device, and how the cells were found.
    created
        UTC, ISO 8601.
    """

    image: str
    checkpoint: str
    checkpoint_sha256: str
    synthetic: bool
    policy: dict[str, Any]
    settings: dict[str, Any] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=versions)
    created: str = field(
        default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds")
    )
    notice: str = RESEARCH_USE

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, ready for JSON."""
        return asdict(self)
