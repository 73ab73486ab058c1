"""The science: cells, crops, model, decisions, table; no Qt and no napari."""
