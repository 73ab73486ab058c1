"""Sample data in napari's menu: a synthetic smear, and a real field from BCCD."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_cytodino.common import CytoDinoError
from napari_cytodino.synthetic import synthetic_smear

if TYPE_CHECKING:
    from numpy.typing import NDArray


if TYPE_CHECKING:
    LayerData = tuple[Any, dict[str, Any], str]


@dataclass(frozen=True)
class RemoteImage:
    """A picture on the web, pinned by its hash, and the name of its cached copy."""

    name: str
    url: str
    sha256: str


# The hash is that of the project's own copy of the file; a Git LFS pointer to the same
# path in an independent mirror of BCCD (sayakpaul/Blood-Cell-Detection-using-TFOD-API
# at e8155f5) names the same sha256 and size. The commit is one whose tree holds BCCD/.
BCCD = RemoteImage(
    name="bccd-BloodImage_00000.jpg",
    url=(
        "https://raw.githubusercontent.com/Shenggan/BCCD_Dataset/"
        "ec96fe4104e9bb329f0d263db95cf1edd8c09909/"
        "BCCD/JPEGImages/BloodImage_00000.jpg"
    ),
    sha256="e1dcc488889acba247a895df7be839e514850030217b4025048619f664fd4cb3",
)
"""One field of a Wright-stained blood smear, 640 x 480, MIT licence."""

SYNTHETIC_SEED = 7
"""Seed of the smear in the menu, so that everybody sees the same one."""

TIMEOUT = 15.0
"""Seconds without an answer after which a download is given up."""


def synthetic_smear_sample() -> list[LayerData]:
    """Draw a smear for napari's sample menu, with its exact labels.

    Returns
    -------
    list of tuple
        An image layer and a labels layer, both named SYNTHETIC; the labels carry the
        class each cell was drawn as in the feature ``drawn_class``.
    """
    smear = synthetic_smear(seed=SYNTHETIC_SEED)
    features = {
        "index": np.arange(1, len(smear.codes) + 1),
        "drawn_class": np.array(smear.codes),
    }
    image = {"name": "SYNTHETIC smear", "rgb": True, "metadata": {"synthetic": True}}
    labels = {"name": "SYNTHETIC cells", "features": features, "opacity": 0.4}
    return [(smear.image, image, "image"), (smear.labels, labels, "labels")]


def bccd_field() -> list[LayerData]:
    """Download a real field of a blood smear for napari's sample menu.

    Returns
    -------
    list of tuple
        One image layer.

    Raises
    ------
    CytoDinoError
        If it cannot be downloaded, or is not the file that was pinned.
    """
    pixels = fetch_image(BCCD)
    return [(pixels, {"name": "BCCD blood smear", "rgb": True}, "image")]


def fetch_image(remote: RemoteImage) -> NDArray[np.uint8]:
    """Read a pinned picture from the cache, or download it there first.

    Parameters
    ----------
    remote : RemoteImage
        Where it is and what it must be.

    Returns
    -------
    ndarray of uint8, shape (H, W, 3)
        Its pixels.

    Raises
    ------
    CytoDinoError
        If it cannot be downloaded, or its hash is not the pinned one.
    """
    # Imported late: pooch brings requests, which napari's menu need not wait for.
    import pooch
    from PIL import Image

    folder = Path(pooch.os_cache("napari-cytodino"))
    try:
        path = pooch.retrieve(
            remote.url,
            known_hash=f"sha256:{remote.sha256}",
            fname=remote.name,
            path=folder,
            downloader=pooch.HTTPDownloader(timeout=TIMEOUT),
        )
    except ValueError as error:
        raise CytoDinoError(
            f"What {remote.url} sent is not the picture that was pinned by its sha256, "
            "so nothing was opened; use the synthetic smear instead."
        ) from error
    except OSError as error:
        raise CytoDinoError(
            f"{remote.url} could not be downloaded ({type(error).__name__}); connect "
            f"to the network, put the file there by hand as {folder / remote.name}, "
            "or use the synthetic smear."
        ) from error
    with Image.open(path) as picture:
        return np.asarray(picture.convert("RGB"))
