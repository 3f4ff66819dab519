"""One self-contained HTML file that shows what a run found, and how far to believe it.

``write_report(run_folder)`` reads the files of a finished run and nothing else; the page needs no network
access, and the same files give the same page, byte for byte.
"""

from iondiff.report._files import Run, read_run
from iondiff.report._geometry import HopLines, cell_edges, hop_lines
from iondiff.report._numbers import with_error
from iondiff.report._write import write_report

__all__ = ["HopLines", "Run", "cell_edges", "hop_lines", "read_run", "with_error", "write_report"]
