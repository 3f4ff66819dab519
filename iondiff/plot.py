"""Pictures for notebooks: each function draws into matplotlib axes, given or new, and returns them.

matplotlib comes with the extra ``notebooks``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import networkx as nx
import numpy as np
import pandas as pd

import kmc
from iondiff.errors import PlotError
from kmc.rates import KB

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_INVERSE = 1000.0  # 1000/T is the habit of Arrhenius plots


def arrhenius(
    table: pd.DataFrame, *, label: str | None = None, fit: bool = True, ax: Axes | None = None, **style: Any
) -> Axes:
    """D against 1000/T, with error bars and the fitted line.

    Parameters
    ----------
    table
        Columns ``temperature`` (K), ``D`` (cm²/s) and, where there is one, ``D_error``; each ``method``, if
        the table has that column, gets a marker of its own. What :func:`kmc.sweep` returns and a run's
        ``diffusivity.csv`` holds.
    label
        In the legend; the activation energy is added where a line is fitted.
    fit
        Draw :func:`kmc.fit_arrhenius` through the points of each method.
    ax
        Axes to draw into.
    **style
        Handed to ``Axes.errorbar``.

    Raises
    ------
    PlotError
        A column is missing, or no row has a positive D.
    """
    missing = [name for name in ("temperature", "D") if name not in table]
    if missing:
        raise PlotError(
            f"the table has no column {', '.join(missing)}; it has {', '.join(map(str, table))}, wanted "
            "temperature (K) and D (cm²/s)"
        )
    usable = table[np.isfinite(table["D"]) & (table["D"] > 0)]
    if usable.empty:
        raise PlotError(
            "no row of the table has a positive D; there is nothing to draw on a logarithmic axis"
        )
    ax = _axes(ax)
    groups = usable.groupby("method", sort=False) if "method" in usable else [(None, usable)]
    for marker, (method, rows) in zip("osD^v", groups, strict=False):
        name = " ".join(str(part) for part in (label, method) if part is not None)
        errors = rows.get("D_error")
        drawn = ax.errorbar(
            _INVERSE / rows["temperature"],
            rows["D"],
            yerr=None if errors is None or not errors.notna().any() else errors.fillna(0.0),
            **{"fmt": marker, "label": name or None, **style},
        )
        if fit and rows["temperature"].nunique() > 1:
            line = kmc.fit_arrhenius(rows)
            ends = np.array([rows["temperature"].min(), rows["temperature"].max()])
            energy = line.Ea
            ax.plot(
                _INVERSE / ends,
                line.D0 * np.exp(-energy / (KB * ends)),
                color=drawn[0].get_color(),
                linewidth=1,
                label=f"{name + ': ' if name else ''}{energy:.3f} eV",
            )
    ax.set_yscale("log")
    ax.set_xlabel("1000/T (1/K)")
    ax.set_ylabel("D (cm²/s)")
    ax.legend()
    return ax


def barriers(network: nx.MultiDiGraph, *, bins: int = 30, ax: Axes | None = None, **style: Any) -> Axes:
    """Histogram of the barriers of all directed hops of a graph, the carrying barriers marked."""
    ax = _axes(ax)
    heights = [data["barrier"] for _, _, data in network.edges(data=True)]
    if not heights:
        raise PlotError("the network has no hops; there are no barriers to draw")
    ax.hist(heights, bins=bins, **style)
    found = kmc.percolation(network)
    for directions, barrier in enumerate(found.barriers, start=1):
        if np.isfinite(barrier):
            ax.axvline(
                barrier, linestyle="--", linewidth=1, color="black", label=f"{directions}D: {barrier:.3f} eV"
            )
    if found.rank:
        ax.legend(title="percolates in")
    ax.set_xlabel("barrier (eV)")
    ax.set_ylabel("hops")
    return ax


def parity(
    reference: Sequence[float] | np.ndarray,
    predicted: Sequence[float] | np.ndarray,
    *,
    unit: str = "eV",
    label: str | None = None,
    ax: Axes | None = None,
    **style: Any,
) -> Axes:
    """Predicted against reference values, with the diagonal and the root mean square error in the legend."""
    given, found = np.ravel(np.asarray(reference, float)), np.ravel(np.asarray(predicted, float))
    if given.shape != found.shape or not len(given):
        raise PlotError(
            f"reference has {given.size} values and predicted {found.size}; wanted as many, at least one"
        )
    ax = _axes(ax)
    error = float(np.sqrt(np.mean((found - given) ** 2)))
    text = f"{label + ': ' if label else ''}RMSE {error:.3g} {unit}"
    ax.plot(given, found, **{"marker": ".", "linestyle": "none", "label": text, **style})
    ends = [min(given.min(), found.min()), max(given.max(), found.max())]
    ax.plot(ends, ends, color="black", linewidth=0.8)
    ax.set_aspect("equal", adjustable="datalim")
    ax.set_xlabel(f"reference ({unit})")
    ax.set_ylabel(f"predicted ({unit})")
    ax.legend()
    return ax


def concentration(
    table: pd.DataFrame,
    columns: Sequence[str] = ("D",),
    *,
    unit: str = "cm²/s",
    ax: Axes | None = None,
    **style: Any,
) -> Axes:
    """Columns of a table against ``occupancy`` (carriers a site), each with ``<column>_error`` as bars."""
    missing = [name for name in ("occupancy", *columns) if name not in table]
    if missing:
        raise PlotError(f"the table has no column {', '.join(missing)}; it has {', '.join(map(str, table))}")
    ax = _axes(ax)
    rows = table.sort_values("occupancy")
    for name in columns:
        errors = rows.get(f"{name}_error")
        ax.errorbar(rows["occupancy"], rows[name], yerr=errors, **{"fmt": "o-", "label": name, **style})
    ax.set_xlabel("occupancy (carriers a site)")
    ax.set_ylabel(f"{', '.join(columns)} ({unit})")
    ax.legend()
    return ax


def _axes(ax: Axes | None) -> Axes:
    if ax is not None:
        return ax
    try:
        from matplotlib import pyplot
    except ImportError as error:
        raise PlotError("matplotlib is not installed; pip install 'diffusion-network[notebooks]'") from error
    return pyplot.subplots()[1]
