# What other rooms may use.
from .cell_table import CellTable as CellTable
from .panel import GalleryPanel as GalleryPanel
