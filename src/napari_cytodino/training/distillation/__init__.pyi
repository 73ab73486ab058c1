# What other rooms may use.
from ._loop import learning_rate as learning_rate
from .augmentation import augment as augment
from .augmentation import relight as relight
from .augmentation import shift_domain as shift_domain
from .parts import run_of as run_of
from .pipeline import train_recipe as train_recipe
