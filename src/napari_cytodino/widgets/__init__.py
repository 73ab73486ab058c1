"""The dock: the only room that knows napari and Qt."""
