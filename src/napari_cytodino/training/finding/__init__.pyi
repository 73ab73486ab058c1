# What other rooms may use.
from .fit import train_finder as train_finder
from .scenes import read_fields as read_fields
