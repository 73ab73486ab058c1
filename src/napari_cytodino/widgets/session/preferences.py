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
        Cells at a time; 0 takes what suits the device. Halved when memory runs out.
    default_checkpoint
        Name, folder or Hub id; empty takes the first that ships with the plugin.
    min_confidence
        Replaces the checkpoint's threshold; 0 keeps it.
    review_costs
        TOML file with costs of errors (`review_costs.read_costs`); empty for defaults.
    keys, counting, alerts
        TOML files with keys (`review_keys.read_keys`), what the differential counts,
        and rules of alerts; empty for those that ship.
    reader
        The name under which the last review was begun.
    """

    device: str = "auto"
    batch_size: int = 0
    default_checkpoint: str = ""
    min_confidence: float = 0.0
    review_costs: str = ""
    keys: str = ""
    counting: str = ""
    alerts: str = ""
    reader: str = ""


def read_preferences() -> Preferences:
    """Return the preferences, or the defaults where the plugin is not installed."""
    from napari.settings import get_plugin_settings

    try:
        settings: Any = get_plugin_settings(PLUGIN)
    except KeyError:
        return Preferences()
    run, review = settings.classification, settings.review
    return Preferences(
        device=str(run.device),
        batch_size=int(run.batch_size),
        default_checkpoint=str(run.default_checkpoint).strip(),
        min_confidence=float(run.min_confidence),
        review_costs=str(run.review_costs).strip(),
        keys=str(review.keys).strip(),
        counting=str(review.counting).strip(),
        alerts=str(review.alerts).strip(),
        reader=str(review.reader).strip(),
    )


def remember_reader(name: str) -> None:
    """Propose this name at the next review."""
    from napari.settings import get_plugin_settings

    try:
        settings: Any = get_plugin_settings(PLUGIN)
    except KeyError:
        return
    settings.review.reader = name
