"""Nuclei as shapes: touching ones cut apart, lobes of one joined, crumbs dropped."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage as ndi
from skimage.measure import regionprops
from skimage.segmentation import relabel_sequential, watershed

Mask: TypeAlias = NDArray[np.bool_]

Labels: TypeAlias = NDArray[np.int32]

MIN_AREA = 0.12
"""Smallest nuclear area of a cell, as a share of the disc of the cell diameter."""

MIN_AREA_BORDER = 0.05
"""The same where the image border cuts the object."""

MAX_AREA = 0.7
"""Largest nuclear area that lobes may add up to, as the same share."""

WHOLE_AREA = 0.2
"""From this share on a round piece is a nucleus of its own, not a lobe."""

ROUND = (0.6, 0.9)
"""Least ratio of the axes and least solidity of a round piece."""

MAX_GAP = 0.2
"""Widest gap between lobes of one nucleus, in cell diameters."""

MAX_EXTENT = 1.15
"""Largest side of the box around joined lobes, in cell diameters."""


def depth_of(mask: Mask) -> NDArray[np.float64]:
    """Return the distance to the background; the image border is not background."""
    padded = np.pad(mask, 1, mode="edge")
    return np.asarray(ndi.distance_transform_edt(padded))[1:-1, 1:-1]


def close_gaps(mask: Mask, radius: float) -> Mask:
    """Close gaps up to twice the radius and fill holes."""
    if radius >= 1:
        pad = int(radius) + 2
        grown = np.pad(mask, pad)
        grown = ndi.distance_transform_edt(~grown) <= radius
        grown = ndi.distance_transform_edt(grown) > radius
        mask = mask | grown[pad:-pad, pad:-pad]
    filled: Mask = ndi.binary_fill_holes(mask)
    return filled


def split(mask: Mask, diameter: float) -> Labels:
    """Cut touching nuclei and lobes apart at their necks."""
    depth = depth_of(mask)
    smooth = ndi.gaussian_filter(depth, 0.03 * diameter)
    reach = 2 * max(1, round(0.14 * diameter)) + 1
    peaks = (smooth == ndi.maximum_filter(smooth, reach)) & (depth > 0.06 * diameter)
    markers, _ = ndi.label(peaks, np.ones((3, 3)))
    isolated, count = ndi.label(mask)
    bare = np.setdiff1d(np.arange(1, count + 1), isolated[markers > 0])
    markers = np.where(np.isin(isolated, bare), isolated + markers.max(), markers)
    pieces: Labels = relabel_sequential(watershed(-smooth, markers, mask=mask))[0]
    return pieces


def _pairs(pieces: Labels, reach: float) -> list[tuple[float, int, int]]:
    """Return neighbouring pieces with the gap between them in pixels, nearest first."""
    depth, (rows, columns) = ndi.distance_transform_edt(
        pieces == 0, return_indices=True
    )
    owner = pieces[rows, columns]
    gaps: dict[tuple[int, int], float] = {}
    for one, other in (
        (np.s_[1:], np.s_[:-1]),
        (np.s_[:, 1:], np.s_[:, :-1]),
    ):
        gap = depth[one] + depth[other]
        meet = (owner[one] != owner[other]) & (gap <= reach)
        ends = np.sort(np.stack([owner[one][meet], owner[other][meet]]), axis=0)
        for low, high, width in zip(*ends, gap[meet], strict=True):
            key = int(low), int(high)
            gaps[key] = min(float(width), gaps.get(key, np.inf))
    return sorted((gap, low, high) for (low, high), gap in gaps.items())


def join_lobes(pieces: Labels, diameter: float) -> Labels:
    """Join lobes that together make one nucleus of plausible area and extent."""
    if not pieces.any():
        return pieces
    disc = np.pi / 4 * diameter**2
    area = np.bincount(pieces.ravel()).astype(float)
    boxes = [(0, 0, 0, 0)] + [
        (r.start, c.start, r.stop, c.stop) for r, c in ndi.find_objects(pieces)
    ]
    parent = np.arange(len(area))
    shape = [False] + [_is_round(r) for r in regionprops(pieces)]
    for _, low, high in _pairs(pieces, MAX_GAP * diameter):
        one, other = parent[low], parent[high]
        if one == other:
            continue
        total = area[one] + area[other]
        a, b = boxes[one], boxes[other]
        box = (min(a[0], b[0]), min(a[1], b[1]), max(a[2], b[2]), max(a[3], b[3]))
        extent = max(box[2] - box[0], box[3] - box[1])
        whole = min(area[one], area[other]) > WHOLE_AREA * disc
        if (
            (whole and shape[one] and shape[other])
            or total > MAX_AREA * disc
            or extent > MAX_EXTENT * diameter
        ):
            continue
        parent[parent == other] = one
        area[one], boxes[one] = total, box
        shape[one] = False
    joined: Labels = parent[pieces].astype(np.int32)
    return joined


def _is_round(region: Any) -> bool:
    return bool(
        region.axis_minor_length > ROUND[0] * region.axis_major_length
        and region.solidity > ROUND[1]
    )


def drop_small(labels: Labels, diameter: float, edges: tuple[bool, ...]) -> Labels:
    """Remove what is too small for a nucleus, more leniently where the image ends."""
    disc = np.pi / 4 * diameter**2
    area = np.bincount(labels.ravel())
    at_border = np.zeros(len(area), np.bool_)
    sides = labels[0], labels[:, 0], labels[-1], labels[:, -1]
    for side, is_edge in zip(sides, edges, strict=True):
        at_border[side] |= is_edge
    keep = area >= disc * np.where(at_border, MIN_AREA_BORDER, MIN_AREA)
    keep[0] = False
    number = np.where(keep, np.cumsum(keep), 0).astype(np.int32)
    return np.asarray(number[labels])
