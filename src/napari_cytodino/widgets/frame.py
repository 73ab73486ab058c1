"""Where two-dimensional results lie among the axes of the viewer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_cytodino.widgets.placement import axes_of, plane_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt


class Frame:
    """Where 2-D results lie in the viewer: the plane and the placement of a layer.

    Parameters
    ----------
    layer
        The layer whose pixels the results count in.
    point
        The viewer's place along all its axes.
    crops
        True when the first axis counts crops, so that results span it.
    """

    def __init__(
        self,
        layer: Any,
        point: Sequence[float],
        channel_axis: int | None = None,
        *,
        crops: bool = False,
    ) -> None:
        axes = axes_of(layer, channel_axis)
        self.crops = crops
        self.plane = () if crops else plane_of(layer, axes, point)
        keep = [*axes.leading, *axes.spatial]
        scale = np.asarray(layer.scale, float)[keep]
        translate = np.asarray(layer.translate, float)[keep]
        if self.plane:
            lead = len(self.plane)
            translate[:lead] += scale[:lead] * np.array(self.plane)
        self.placement: dict[str, Any] = {"scale": scale, "translate": translate}
        if axes.channel is None:
            self.placement |= {
                "rotate": np.asarray(layer.rotate),
                "shear": np.asarray(layer.shear),
                "affine": np.asarray(layer.affine.affine_matrix),
            }
        self.placement["units"] = [layer.units[a] for a in keep]

    def lift(self, plane: Any) -> Any:
        """Give a numpy or dask plane the layer's leading axes, of length one."""
        return plane[(None,) * len(self.plane)]

    def lift_points(
        self, spots: npt.NDArray[np.float64], rows: npt.NDArray[np.int64]
    ) -> npt.NDArray[np.float64]:
        """Give spots y, x of these cells the leading coordinates of the layer."""
        if self.crops:
            return np.concatenate([rows[:, None].astype(float), spots], axis=1)
        lead = np.zeros((len(rows), len(self.plane)))
        return np.concatenate([lead, spots], axis=1)
