from .cells import Cells as Cells
from .checkpoints import Checkpoint as Checkpoint
from .checkpoints import load_checkpoint as load_checkpoint
from .common import CytoDinoError as CytoDinoError
from .exports import export as export
from .finding import find_cells as find_cells
from .inference import classify as classify
from .results import differential as differential
from .taxonomy import Taxonomy as Taxonomy
from .training.teaching import teach as teach

__version__: str
