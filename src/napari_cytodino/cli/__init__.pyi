# What other rooms may use.
from .commands import app as app
