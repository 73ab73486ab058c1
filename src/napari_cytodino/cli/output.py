"""What commands print: progress, errors, and what was left out."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import typer

from napari_cytodino.common import CytoDinoError


@contextmanager
def one_sentence() -> Iterator[None]:
    """Turn an error the user can act on into one sentence and exit code 2."""
    try:
        yield
    except CytoDinoError as error:
        typer.echo(f"Error: {error}", err=True)
        raise typer.Exit(2) from error


@contextmanager
def bar(title: str, unit: str = "cell") -> Iterator[Callable[[int, int], None]]:
    """Show a progress bar with the time left on a terminal; give its callback."""
    from tqdm import tqdm

    with tqdm(desc=title, unit=unit, disable=None, leave=False) as shown:

        def update(done: int, total: int) -> None:
            shown.total = total
            shown.update(done - shown.n)

        yield update


def print_left_out(errors: dict[str, str]) -> None:
    """Name each image that could not be read, and why."""
    for image, error in errors.items():
        # a file name may be no valid text, which a terminal refuses
        name = os.fsencode(image).decode(errors="backslashreplace")
        typer.echo(f"Left out: {name}: {error}", err=True)
