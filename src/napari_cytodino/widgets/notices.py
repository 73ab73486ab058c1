"""One helper that turns errors into notifications."""

from __future__ import annotations

from napari_cytodino.core.errors import CytoDinoError


def tell(error: BaseException) -> None:
    """Show an error once; a fault the user can act on stays one sentence."""
    from napari.utils.notifications import notification_manager, show_error

    if isinstance(error, CytoDinoError):
        show_error(str(error))
    else:
        notification_manager.receive_error(type(error), error, error.__traceback__)


def say(message: str) -> None:
    """Show a sentence that is no error."""
    from napari.utils.notifications import show_info

    show_info(message)


def warn(message: str) -> None:
    """Show a sentence that asks for attention."""
    from napari.utils.notifications import show_warning

    show_warning(message)
