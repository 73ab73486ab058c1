"""A small drawn data set in the layout of the real ones."""

import csv

import numpy as np
import pytest
from PIL import Image

BACKGROUND = (235, 225, 210)
SHAPE = (240, 320)
"""At 0.15 um a pixel: red cells of 50 px, white cells of 80."""


def disc(image, y, x, radius, colour):
    rows, columns = np.ogrid[: image.shape[0], : image.shape[1]]
    image[(rows - y) ** 2 + (columns - x) ** 2 < radius**2] = colour


def white(image, y, x):
    disc(image, y, x, 40, (190, 185, 205))
    disc(image, y, x, 26, (80, 50, 130))


def field():
    image = np.empty((*SHAPE, 3), np.uint8)
    image[:] = BACKGROUND
    reds = [(40, 40), (40, 110), (200, 40), (200, 120), (200, 280)]
    for y, x in reds:
        disc(image, y, x, 25, (205, 165, 150))
    white(image, 110, 200)
    return image, reds, (110, 200)


def voc(kind, y, x, radius):
    values = {
        "xmin": x - radius,
        "ymin": y - radius,
        "xmax": x + radius,
        "ymax": y + radius,
    }
    box = "".join(f"<{k}>{v}</{k}>" for k, v in values.items())
    return f"<object><name>{kind}</name><bndbox>{box}</bndbox></object>"


@pytest.fixture(scope="session")
def data(tmp_path_factory):
    """Three BCCD fields, six of aslan, four single cells of each laboratory."""
    root = tmp_path_factory.mktemp("data")
    image, reds, (y, x) = field()
    bccd, aslan = root / "bccd-fields", root / "fields-aslan"
    for folder in (bccd / "images", bccd / "annotations", aslan / "images"):
        folder.mkdir(parents=True)
    objects = [voc("RBC", *red, 25) for red in reds] + [voc("WBC", y, x, 40)]
    objects.append(voc("Platelets", 30, 200, 6))
    for number in range(3):
        Image.fromarray(image).save(bccd / "images" / f"{number}.jpg", quality=95)
        text = f"<annotation>{''.join(objects)}</annotation>"
        (bccd / "annotations" / f"{number}.xml").write_text(text)
    with (aslan / "annotations.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["image", "xmin", "ymin", "xmax", "ymax", "label"])
        for number in range(6):
            Image.fromarray(image).save(aslan / "images" / f"{number}.jpg")
            for kind, cy, cx, r in [("rbc", *red, 25) for red in reds] + [
                ("wbc", y, x, 40)
            ]:
                box = [(cx - r) / 320, (cy - r) / 240, (cx + r) / 320, (cy + r) / 240]
                rows.writerow([f"{number}.jpg", *box, kind])
    for origin, scale in (("mll-marrow", 0.15 / 0.086), ("pbc-blood", 0.15 / 0.098)):
        folder = root / origin / "LYT"
        folder.mkdir(parents=True)
        one = np.empty((150, 150, 3), np.uint8)
        one[:] = BACKGROUND
        white(one, 75, 75)
        side = round(150 * scale)
        for number in range(4):
            Image.fromarray(one).resize((side, side)).save(folder / f"{number}.png")
    return root
