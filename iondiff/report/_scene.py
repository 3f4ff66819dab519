"""The network in three dimensions: a few batched traces, so that thousands of hops open at once."""

from __future__ import annotations

import itertools
import math
from html import escape
from typing import Any

import networkx as nx
import numpy as np
from ase import Atoms
from ase.data import chemical_symbols, covalent_radii
from ase.data.colors import jmol_colors
from numpy.typing import NDArray

from iondiff.report._geometry import HopLines, cell_edges
from iondiff.report._numbers import count
from iondiff.report._percolation import percolation_path
from iondiff.report._style import (
    ACCENT,
    AMBER,
    HOP_SCALE,
    INK,
    MUTED,
    SITE_SCALE,
    Figure,
    base_layout,
    blend,
    colorscale,
    corner,
    shade,
)

MAX_HOPS = 20_000
MAX_ATOMS = 5_000
BARRIER_BINS = 8
# How large the scene is drawn; an orthographic camera has no distance to choose.
ZOOM = 1.6
Trace = dict[str, Any]
Points = NDArray[np.float64]


def scene(host: Atoms, network: nx.MultiDiGraph[Any], hops: HopLines) -> Figure:
    """The hopping network in its host, as a plotly figure."""
    cell = np.array(network.graph["cell"], dtype=float)
    drawn = np.zeros(len(hops.names), dtype=bool)
    drawn[np.argsort(hops.uphill, kind="stable")[:MAX_HOPS]] = True
    data = [
        _cell_trace(cell),
        *_host_traces(host),
        *_bin_traces(hops, drawn, cell),
        _path_trace(hops, cell),
        _current_trace(hops, cell),
        _saddle_trace(hops, drawn),
        _image_sites(hops, drawn, cell),
        _site_trace(network),
    ]
    return {
        "data": data,
        "layout": base_layout(
            margin={"l": 0, "r": 0, "t": 0, "b": 0},
            legend=corner("right", "top")
            | {"x": 1.0, "y": 0.93, "tracegroupgap": 2, "itemsizing": "constant"},
            scene=_view(cell, hops),
        ),
    }


def _view(cell: Points, hops: HopLines) -> dict[str, Any]:
    """Axes that just hold the cell and its hops, and an orthographic camera."""
    points = np.concatenate([cell_edges(cell).reshape(-1, 3), hops.end, hops.start - hops.images @ cell])
    low, high = points.min(axis=0), points.max(axis=0)
    extent = high - low + 1.0
    sizes = zip("xyz", ZOOM * extent / extent.max(), strict=True)
    view: dict[str, Any] = {
        "aspectmode": "manual",
        "aspectratio": {name: round(float(size), 4) for name, size in sizes},
        "camera": {"projection": {"type": "orthographic"}, "eye": {"x": 1.35, "y": 0.95, "z": 0.6}},
        "domain": {"x": [0.0, 0.82], "y": [0.0, 1.0]},
    }
    for name, first, last in zip("xyz", low - 0.5, high + 0.5, strict=True):
        limits = [round(float(first), 3), round(float(last), 3)]
        view[f"{name}axis"] = {"visible": False, "showspikes": False, "range": limits}
    return view


def barrier_bins(barriers: Points, bins: int = BARRIER_BINS) -> Points:
    """Round edges, eV, of at most `bins` bins that hold all `barriers`."""
    if len(barriers) == 0:
        return np.array([0.0, 1.0])
    low, high = float(barriers.min()), float(barriers.max())
    for step in (0.05, 0.1, 0.2, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0, (high - low) or 1.0):
        first, last = math.floor(low / step + 1e-9), math.floor(high / step + 1e-9) + 1
        if last - first <= bins:
            break
    return np.round(np.arange(first, last + 1) * step, 6)


def _bin_traces(hops: HopLines, drawn: NDArray[np.bool_], cell: Points) -> list[Trace]:
    """Two traces a barrier bin: hops inside the cell, and, paler, hops that leave it, drawn from both ends.

    ``meta`` holds what the temperature slider needs: mean uphill barrier (eV) and mean log10 prefactor (Hz).
    """
    edges = barrier_bins(hops.uphill)
    bins = np.clip(np.digitize(hops.uphill, edges) - 1, 0, len(edges) - 2)
    traces: list[Trace] = []
    for number in np.unique(bins[drawn]).tolist():
        mine = drawn & (bins == number)
        color = shade(HOP_SCALE, number / max(len(edges) - 2, 1))
        meta = {
            "barrier": round(float(hops.uphill[mine].mean()), 4),
            "log_prefactor": round(float(np.log10(hops.prefactors[mine]).mean()), 3),
        }
        plain = mine & ~hops.carries
        shared = {"legendgroup": f"bin{number}", "legendrank": 20 + number, "meta": meta}
        name = f"{edges[number]:g} – {edges[number + 1]:g} eV"
        crossing = _paths(hops, plain & hops.crosses) + _paths(hops, plain & hops.crosses, cell)
        traces.append(_lines(_paths(hops, plain & ~hops.crosses), name, color, 4) | shared)
        traces.append(
            _lines(crossing, name, blend(color, "#ffffff", 0.6), 3) | shared | {"showlegend": False}
        )
    return traces


def _current_trace(hops: HopLines, cell: Points) -> Trace:
    inner, outer = hops.carries & ~hops.crosses, hops.carries & hops.crosses
    paths = _paths(hops, inner) + _paths(hops, outer) + _paths(hops, outer, cell)
    return _lines(paths, "carry the current", ACCENT, 8) | {"legendrank": 30, "showlegend": bool(paths)}


def _path_trace(hops: HopLines, cell: Points) -> Trace:
    """The lowest way through the cell, as beads on the hops."""
    mine = np.zeros(len(hops.names), dtype=bool)
    mine[percolation_path(hops)] = True
    outer = mine & hops.crosses
    paths = _paths(hops, mine & ~hops.crosses) + _paths(hops, outer) + _paths(hops, outer, cell)
    beads = [_beads(path) for path in paths]
    return {
        "type": "scatter3d", "mode": "markers", "name": "lowest way through", "hoverinfo": "skip",
        "marker": {"size": 6, "color": AMBER, "line": {"width": 0}}, "legendrank": 29,
        "showlegend": bool(paths), **_points(np.concatenate([np.zeros((0, 3)), *beads])),
    }  # fmt: skip


def _beads(path: Points, apart: float = 0.3) -> Points:
    """Points along a line of straight pieces, about `apart` Å from one another."""
    pieces = []
    for start, end in itertools.pairwise(path):
        count = max(1, math.ceil(float(np.linalg.norm(end - start)) / apart))
        pieces.append(start + np.linspace(0.0, 1.0, count, endpoint=False)[:, None] * (end - start))
    return np.concatenate([*pieces, path[-1:]])


def _paths(hops: HopLines, which: NDArray[np.bool_], cell: Points | None = None) -> list[Points]:
    """Start, saddle, end of each hop; with `cell`, shifted so that they end (rather than begin) inside it."""
    shift = hops.images[which] @ cell if cell is not None else 0.0
    stacked = np.stack(
        [hops.start[which] - shift, hops.middle[which] - shift, hops.end[which] - shift], axis=1
    )
    return list(stacked)


def _lines(paths: list[Points], name: str, color: str, width: float) -> Trace:
    return {
        "type": "scatter3d", "mode": "lines", "name": name, "hoverinfo": "skip",
        "line": {"color": color, "width": width}, **_broken(paths),
    }  # fmt: skip


def _broken(paths: list[Points]) -> dict[str, list[float | None]]:
    """Coordinates of many lines in one trace, with a gap (None) after each line."""
    columns: dict[str, list[float | None]] = {"x": [], "y": [], "z": []}
    for path in paths:
        for name, values in zip("xyz", path.T, strict=True):
            columns[name] += [round(float(value), 3) for value in values]
            columns[name].append(None)
    return columns


def _points(positions: Points) -> dict[str, list[float]]:
    return {
        name: [round(float(v), 3) for v in values] for name, values in zip("xyz", positions.T, strict=True)
    }


def _saddle_trace(hops: HopLines, drawn: NDArray[np.bool_]) -> Trace:
    """Passes; hovering shows the hop. ``customdata``: text, then barrier and prefactor forward, backward."""
    rows = np.flatnonzero(drawn)
    return {
        "type": "scatter3d", "mode": "markers", "name": "passes", "legendrank": 11,
        **_points(hops.middle[rows]),
        "marker": {
            "symbol": "diamond", "size": 2.4, "color": [round(float(b), 3) for b in hops.uphill[rows]],
            "colorscale": colorscale(HOP_SCALE), "line": {"width": 0},
        },
        "customdata": [_hop_data(hops, int(row)) for row in rows],
        "hovertemplate": "%{customdata[0]}%{text}<extra></extra>", "text": [""] * len(rows),
    }  # fmt: skip


def _hop_data(hops: HopLines, row: int) -> list[Any]:
    source, target = (escape(name) for name in hops.names[row])
    image = " ".join(str(i) for i in hops.images[row])
    forward, backward = hops.barriers[row]
    text = f"<b>hop {source} → {target}</b>" + (f", cell ({image})" if hops.crosses[row] else "")
    text += (
        f"<br>barrier → {forward:.3f} eV, ← {backward:.3f} eV<br>saddle at {hops.saddle_energy[row]:.3f} eV"
    )
    if np.isfinite(hops.share[row]):
        text += f"<br>share of the current {100 * hops.share[row]:.1f} %"
    numbers = [forward, hops.prefactors[row, 0], backward, hops.prefactors[row, 1]]
    return [text, *(float(f"{number:.5g}") for number in numbers)]


def _image_sites(hops: HopLines, drawn: NDArray[np.bool_], cell: Points) -> Trace:
    crossing = drawn & hops.crosses
    outside = np.concatenate([hops.end[crossing], hops.start[crossing] - hops.images[crossing] @ cell])
    return {
        "type": "scatter3d", "mode": "markers", "name": "sites of the next cells", "hoverinfo": "skip",
        "marker": {"size": 3, "color": "#c3ccd6"}, "legendrank": 31,
        **_points(np.unique(np.round(outside, 3), axis=0)),
    }  # fmt: skip


def _site_trace(network: nx.MultiDiGraph[Any]) -> Trace:
    nodes = list(network.nodes(data=True))
    energies = np.array([data["energy"] for _, data in nodes], dtype=float)
    above = energies - energies.min() if len(energies) else energies
    hover = [
        f"<b>site {escape(str(node))}</b><br>{height:.3f} eV above the lowest"
        f"<br>{count(network.out_degree(node), 'hop')}"
        for (node, _), height in zip(nodes, above, strict=True)
    ]
    colorbar = {
        "title": {"text": "Site energy above<br>the lowest, eV", "font": {"size": 12}}, "outlinewidth": 0,
        "thickness": 10, "len": 0.34, "x": 0.845, "xanchor": "left", "y": 0.03, "yanchor": "bottom",
        "tickfont": {"size": 11, "color": MUTED},
    }  # fmt: skip
    marker = {
        "size": round(8 * min(max(50 / max(len(nodes), 1), 0.06), 1) ** 0.25, 1),
        "color": [round(float(height), 4) for height in above],
        "line": {"color": INK, "width": 0.5}, "colorscale": colorscale(SITE_SCALE), "colorbar": colorbar,
    }  # fmt: skip
    return {
        "type": "scatter3d", "mode": "markers", "name": "sites", "legendrank": 10, "marker": marker,
        "text": hover, "hovertemplate": "%{text}<extra></extra>",
        **_points(np.array([data["position"] for _, data in nodes], dtype=float).reshape(-1, 3)),
    }  # fmt: skip


def _host_traces(host: Atoms) -> list[Trace]:
    """One trace an element, inside the cell, pale; of huge hosts only the first `MAX_ATOMS` atoms."""
    atoms = host[:MAX_ATOMS]
    positions = atoms.get_positions(wrap=True) if host.pbc.any() else atoms.positions  # type: ignore[no-untyped-call]
    numbers = host.numbers[:MAX_ATOMS]
    traces = []
    for number in sorted(set(numbers.tolist()), reverse=True):
        red, green, blue = (round(255 * channel) for channel in jmol_colors[number])
        marker = {
            "size": round(4 + 4 * float(covalent_radii[number]), 1), "line": {"width": 0},
            "color": blend(f"#{red:02x}{green:02x}{blue:02x}", "#b8bec6", 0.45),
        }  # fmt: skip
        traces.append({
            "type": "scatter3d", "mode": "markers", "name": f"{chemical_symbols[number]} (host)",
            "hoverinfo": "name", "opacity": 0.4, "marker": marker, "legendrank": 40,
            **_points(positions[numbers == number]),
        })  # fmt: skip
    return traces


def _cell_trace(cell: Points) -> Trace:
    return _lines(list(cell_edges(cell)), "cell", "#aab4bf", 1.5) | {"legendrank": 50}
