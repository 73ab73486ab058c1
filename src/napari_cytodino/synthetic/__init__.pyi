# What other rooms may use.
from .smear import synthetic_crops as synthetic_crops
from .smear import synthetic_smear as synthetic_smear
