# What other rooms may use.
from .page import write_case_report as write_case_report
from .report import CaseReport as CaseReport
from .report import rows_to_show as rows_to_show
