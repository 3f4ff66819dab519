"""The panels of a glass report."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from iondiff.errors import PlotError

if TYPE_CHECKING:
    from iondiff.analysis.glass import GlassReport


def draw(report: GlassReport, path: str | Path | None) -> Any:
    """Distances, S(q), angles, coordination, rings, vibrations (or polyhedra); the matplotlib figure."""
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise PlotError("matplotlib is not installed; pip install 'diffusion-network[notebooks]'") from error
    figure = Figure(figsize=(11, 6.2), layout="constrained")
    panels = figure.subplots(2, 3).ravel()
    radial = report.curves["rdf"]
    for name in radial.columns[1:]:
        panels[0].plot(radial["r_A"], radial[name], label=name, linewidth=1)
    panels[0].set(xlabel="r (Å)", ylabel="g(r)")
    if len(radial.columns) > 2:
        panels[0].legend(fontsize="small")
    _line(panels[1], report.curves["structure_factor"], "q (1/Å)", "S(q)")
    _line(panels[2], report.curves["angles"], "angle between bonds (°)", "density (1/°)")
    _bars(panels[3], report, "share_", "neighbours", "share of atoms")
    _bars(panels[4], report, "rings_", "atoms in the shortest ring", "share of pairs of bonds")
    if "vibrations" in report.curves:
        _line(panels[5], report.curves["vibrations"], "frequency (THz)", "modes an atom and THz")
    elif any(name.startswith("units_") for name in map(str, report.metrics)):
        _bars(panels[5], report, "units_", "polyhedra in a unit", "share of centres")
    else:
        panels[5].set_axis_off()
    if path is not None:
        figure.savefig(path, metadata={"Date": None} if str(path).endswith(".svg") else None)
    return figure


def _line(panel: Any, table: Any, x: str, y: str) -> None:
    panel.plot(table.iloc[:, 0], table.iloc[:, 1], linewidth=1)
    panel.set(xlabel=x, ylabel=y)


def _bars(panel: Any, report: GlassReport, prefix: str, x: str, y: str) -> None:
    """Means over samples with the standard error; one set of bars an element."""
    rows = report.averages()
    rows = rows[rows.index.str.startswith(prefix)]
    split = [name.removeprefix(prefix).rpartition("_") for name in rows.index]
    groups = sorted({group for group, _, _ in split})
    width = 0.8 / max(1, len(groups))
    for g, group in enumerate(groups):
        chosen = [k for k, part in enumerate(split) if part[0] == group]
        place = np.array([int(split[k][2]) for k in chosen]) + (g - 0.5 * (len(groups) - 1)) * width
        errors = rows["error"].to_numpy()[chosen]
        panel.bar(
            place, rows["mean"].to_numpy()[chosen], width, yerr=np.where(np.isfinite(errors), errors, 0.0),
            label=group or None,
        )  # fmt: skip
    panel.set(xlabel=x, ylabel=y)
    if len(groups) > 1:
        panel.legend(fontsize="small")
