"""The errors that core raises; each names the value and the remedy."""


class CytoDinoError(Exception):
    """A fault the user can act on: one sentence with the value and the remedy."""


class InputError(CytoDinoError):
    """An image, segmentation, table or option that cannot be used as it is."""


class CheckpointError(CytoDinoError):
    """A checkpoint that is missing, altered, unsafe or does not fit."""
