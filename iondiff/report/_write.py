"""From a run folder to the page: sections in order, figures as data, everything inlined."""

from __future__ import annotations

import base64
import hashlib
from html import escape
from importlib import resources
from pathlib import Path
from string import Template

from iondiff.errors import FileError, RunError
from iondiff.files import write_atomically
from iondiff.report import _doubts, _evidence, _records, _results
from iondiff.report._files import read_run
from iondiff.report._geometry import hop_lines
from iondiff.report._headline import headline, title
from iondiff.report._html import script_json
from iondiff.report._style import Figure


def write_report(run_folder: Path, output: Path | None = None, *, literature: Path | None = None) -> Path:
    """Write the report of a run and return where it is.

    Parameters
    ----------
    run_folder
        The folder of a finished run; docs of its files are in `iondiff.report._models`.
    output
        The HTML file; ``report.html`` in the run folder if None. Replaced in one step when the page is whole.

    literature
        A table (.csv) of points for the Arrhenius plot: temperature in K, D in cm²/s, source. By default the
        one of the run's configuration, if it has one.

    Raises
    ------
    RunError
        A file that the report needs is missing or corrupt, or the page cannot be written.
    """
    run_folder = Path(run_folder)
    page = _page(run_folder, literature)
    output = Path(output) if output is not None else run_folder / "report.html"
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(output, page)
    except (OSError, FileError) as error:
        reason = error.__cause__ if isinstance(error, FileError) else error
        raise RunError(
            f"report {output} cannot be written ({getattr(reason, 'strerror', reason)}); "
            "choose another --output"
        ) from error
    return output


def _page(run_folder: Path, literature: Path | None) -> str:
    from plotly.offline import get_plotlyjs

    run = read_run(run_folder, literature)
    hops = hop_lines(run.network, run.current_hops)
    parts = [
        _results.network_section(run, hops),
        _results.transport_section(run, hops),
        _evidence.training_section(run),
        _evidence.teacher_section(run),
        _evidence.certificate_section(run),
        _doubts.checks_section(run),
        _records.tables_section(run),
        _records.provenance_section(run),
    ]
    figures: dict[str, Figure] = {name: figure for _, mine in parts for name, figure in mine.items()}
    library, script = get_plotlyjs(), _resource("page.js")
    return Template(_resource("page.html")).substitute(
        title=escape(title(run)),
        style=_resource("page.css"),
        script_hashes=" ".join(f"'sha256-{_digest(text)}'" for text in (library, script)),
        headline=headline(run),
        sections="".join(html for html, _ in parts),
        figures=script_json(figures),
        plotly=library,
        script=script,
    )


def _resource(name: str) -> str:
    return resources.files("iondiff.report").joinpath(name).read_text(encoding="utf-8")


def _digest(text: str) -> str:
    """Base64 SHA-256, by which the page's policy knows the scripts that may run."""
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
