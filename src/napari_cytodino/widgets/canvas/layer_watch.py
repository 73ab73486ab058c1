"""Notice when layers appear, go, or change their data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from psygnal import Signal

from napari_cytodino.widgets.canvas.layers import KINDS, layer_type, unwrap

if TYPE_CHECKING:
    from collections.abc import Callable


EVENTS = (
    "data",
    "labels_update",
    "paint",
    "scale",
    "translate",
    "affine",
    "rotate",
    "shear",
)
"""Events of a layer after which its cells lie elsewhere or look different."""


class LayerWatch:
    """Follows the layers of a viewer.

    Parameters
    ----------
    changed, removed
        Called with the layer.
    """

    listed = Signal()
    """Layers were added, removed or renamed."""

    def __init__(
        self,
        viewer: Any,
        changed: Callable[[Any], None],
        removed: Callable[[Any], None],
    ) -> None:
        self._viewer, self._changed, self._removed = viewer, changed, removed
        events = viewer.layers.events
        events.inserted.connect(self._on_inserted)
        events.removed.connect(self._on_removed)
        for layer in viewer.layers:
            self._follow(unwrap(layer))

    def layers(self, *kinds: str) -> list[Any]:
        """Return the layers of these kinds, topmost first."""
        found = [unwrap(layer) for layer in self._viewer.layers]
        return [layer for layer in reversed(found) if layer_type(layer) in kinds]

    def close(self) -> None:
        """Stop following."""
        events = self._viewer.layers.events
        events.inserted.disconnect(self._on_inserted)
        events.removed.disconnect(self._on_removed)
        for layer in self._viewer.layers:
            self._follow(unwrap(layer), follow=False)

    def _follow(self, layer: Any, *, follow: bool = True) -> None:
        if layer_type(layer) not in KINDS:
            return
        wanted = [
            (getattr(layer.events, name), self._on_change)
            for name in EVENTS
            if hasattr(layer.events, name)
        ]
        for emitter, callback in [*wanted, (layer.events.name, self._on_name)]:
            if follow:
                emitter.connect(callback)
            else:
                emitter.disconnect(callback)

    def _on_inserted(self, event: Any) -> None:
        self._follow(unwrap(event.value))
        self.listed.emit()

    def _on_removed(self, event: Any) -> None:
        layer = unwrap(event.value)
        self._follow(layer, follow=False)
        self._removed(layer)
        self.listed.emit()

    def _on_change(self, event: Any) -> None:
        self._changed(unwrap(event.source))

    def _on_name(self, event: Any) -> None:
        self.listed.emit()
