from .finetuning import HierarchicalFocalLoss as HierarchicalFocalLoss
from .finetuning import smoothing_matrix as smoothing_matrix
