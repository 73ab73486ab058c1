# What other rooms may use.
from .pipeline import Outcome as Outcome
from .pipeline import classes_of as classes_of
from .pipeline import teach as teach
from .pipeline import teach_files as teach_files
