"""What the user set under Preferences, Plugins; read when needed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

PLUGIN = "napari-cytodino"


@dataclass(frozen=True)
class Preferences:
    """The preferences, with the defaults of the manifest.

    Attributes
    ----------
    device
        auto, cpu, cuda or mps.
    batch_size
        Cells at a time; halved when memory runs out.
    default_checkpoint
        Name, folder or Hub id; empty takes the first that ships with the plugin.
    min_confidence
        Replaces the checkpoint's threshold; 0 keeps it.
    review_costs
        TOML file with costs of errors (`review_costs.read_costs`); empty for defaults.
    """

    device: str = "auto"
    batch_size: int = 8
    default_checkpoint: str = ""
    min_confidence: float = 0.0
    review_costs: str = ""


def read_preferences() -> Preferences:
    """Return the preferences, or the defaults where the plugin is not installed."""
    from napari.settings import get_plugin_settings

    try:
        settings: Any = get_plugin_settings(PLUGIN)
    except KeyError:
        return Preferences()
    run = settings.classification
    return Preferences(
        device=str(run.device),
        batch_size=int(run.batch_size),
        default_checkpoint=str(run.default_checkpoint).strip(),
        min_confidence=float(run.min_confidence),
        review_costs=str(run.review_costs).strip(),
    )
