# What other rooms may use.
from .cell_map import CellMap as CellMap
from .cell_table import CellTable as CellTable
from .panel import GalleryPanel as GalleryPanel
