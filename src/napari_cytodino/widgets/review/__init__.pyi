# What other rooms may use.
from .agreement_panel import ReadersPanel as ReadersPanel
from .class_search import ClassSearch as ClassSearch
from .context_menu import CellMenu as CellMenu
from .context_menu import cell_menu as cell_menu
from .differential_panel import DifferentialPanel as DifferentialPanel
from .report_panel import ReportPanel as ReportPanel
from .verdict_panel import ReviewPanel as ReviewPanel
