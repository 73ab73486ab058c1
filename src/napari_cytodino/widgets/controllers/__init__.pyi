# What other rooms may use.
from .area_selection import AreaSelection as AreaSelection
from .cell_edits import TOOLS as TOOLS
from .clicks import OTHER_PLANE as OTHER_PLANE
from .controller import Controller as Controller
from .folder_run import FolderRun as FolderRun
