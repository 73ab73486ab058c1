# What other rooms may use.
from .methods import read_comparison as read_comparison
from .methods import read_seeds as read_seeds
from .probes import Embedded as Embedded
from .probes import probe as probe
