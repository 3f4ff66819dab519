"""Figures of the transport: Arrhenius plot, bands against the teacher."""

from __future__ import annotations

from html import escape
from typing import Any

import numpy as np
import pandas as pd
from ase.units import kB

from iondiff.report._models import BandCheck, Transport
from iondiff.report._numbers import with_error
from iondiff.report._style import ACCENT, BLUE, INK, MUTED, TEAL, Figure, axis, corner, figure

METHODS = {
    "exact": ("exact", {"symbol": "circle", "size": 9, "color": BLUE}),
    "walk": ("random walks", {"symbol": "diamond-open", "size": 11, "color": ACCENT, "line": {"width": 2}}),
}


def methods_in(table: pd.DataFrame) -> list[str]:
    """The methods of a diffusivity table, the known ones first."""
    present = {str(method) for method in table["method"]}
    return [method for method in METHODS if method in present] + sorted(present - set(METHODS))


def method_name(method: str) -> str:
    """What the report calls a method, escaped."""
    return METHODS[method][0] if method in METHODS else escape(method)


def arrhenius(table: pd.DataFrame, transport: Transport, literature: pd.DataFrame | None = None) -> Figure:
    """D, cm²/s, against 1000/T with both methods, their error bars, the fitted line and points of others."""
    usable = table[(table["temperature"] > 0) & (table["D"] > 0) & np.isfinite(table["D"])]
    others = (
        [] if literature is None else [(str(n), rows) for n, rows in literature.groupby("source", sort=False)]
    )
    temperatures = sorted(set(usable["temperature"].tolist()))
    inverse = [1000 / kelvin for kelvin in temperatures]
    every = [*inverse, *(1000 / kelvin for _, rows in others for kelvin in rows["temperature"])]
    room = 0.06 * ((max(every) - min(every)) if len(set(every)) > 1 else 1.0)
    span = [min(every, default=1.0) - room, max(every, default=2.0) + room]
    traces = _fit_line(temperatures, transport)
    traces += [_method_points(usable[usable["method"].astype(str) == m], m) for m in methods_in(usable)]
    traces += [_others(name, rows, number) for number, (name, rows) in enumerate(others)]
    # An axis is only drawn where a trace hangs on it; this one shows nothing.
    traces.append({
        "type": "scatter", "xaxis": "x2", "x": span, "y": [None, None],
        "hoverinfo": "skip", "showlegend": False,
    })  # fmt: skip
    top = axis(
        "Temperature, K", overlaying="x", side="top", range=span, showgrid=False, matches="x",
        tickvals=inverse, ticktext=[f"{temperature:g}" for temperature in temperatures],
    )  # fmt: skip
    y = axis("D, cm²/s", type="log", dtick=1, exponentformat="power", showexponent="all")
    x = axis("1000 / T, 1/K", range=span)
    margin = {"l": 72, "r": 18, "t": 58, "b": 52}
    return figure(traces, x, y, xaxis2=top, legend=corner("left", "bottom"), margin=margin)


_SYMBOLS = ("triangle-up", "square", "star", "cross", "x", "triangle-down")


def _others(name: str, rows: pd.DataFrame, number: int) -> dict[str, Any]:
    """Points that a user added."""
    marker = {
        "symbol": _SYMBOLS[number % len(_SYMBOLS)],
        "size": 9,
        "color": TEAL,
        "line": {"width": 1, "color": INK},
    }
    return {
        "type": "scatter", "mode": "markers", "name": escape(name[:60]), "marker": marker,
        "x": [1000 / float(kelvin) for kelvin in rows["temperature"]], "y": [float(value) for value in rows["D"]],
        "text": [f"{kelvin:g} K" for kelvin in rows["temperature"]],
        "hovertemplate": "%{text}: %{y:.3e} cm²/s<extra></extra>",
    }  # fmt: skip


def band(check: BandCheck) -> Figure:
    """Energies along one band, eV above its first image: network (line) and teacher (points)."""
    zero = check.energy_network_eV[0]
    distance = [round(distance, 3) for distance in check.distance_A]
    hover = "%{x:.2f} Å: %{y:.3f} eV<extra></extra>"
    network = {
        "type": "scatter", "mode": "lines", "name": "network", "x": distance, "hovertemplate": hover,
        "y": [round(energy - zero, 4) for energy in check.energy_network_eV],
        "line": {"color": BLUE, "width": 2, "shape": "spline", "smoothing": 1.0},
    }  # fmt: skip
    teacher = {
        "type": "scatter", "mode": "markers", "name": "teacher", "x": distance, "hovertemplate": hover,
        "y": [round(energy - zero, 4) for energy in check.energy_teacher_eV],
        "marker": {"color": INK, "size": 7, "symbol": "circle-open", "line": {"width": 1.5}},
    }  # fmt: skip
    name = {"text": band_name(check), "font": {"size": 13, "color": MUTED}, "x": 0.55, "y": 0.97}
    margin = {"l": 56, "r": 10, "t": 34, "b": 48}
    x, y = axis("Along the band, Å"), axis("Energy, eV")
    return figure([network, teacher], x, y, showlegend=False, title=name, margin=margin)


def band_name(check: BandCheck) -> str:
    """``source → target`` and the image where it is not the cell itself, escaped."""
    image = " (" + " ".join(str(i) for i in check.image) + ")" if any(check.image) else ""
    return f"{escape(str(check.source))} → {escape(str(check.target))}{image}"


def band_error(check: BandCheck) -> float:
    """Largest difference, eV, between network and teacher along the band."""
    return float(np.abs(np.subtract(check.energy_network_eV, check.energy_teacher_eV)).max())


def _method_points(rows: pd.DataFrame, method: str) -> dict[str, Any]:
    marker = METHODS[method][1] if method in METHODS else {"size": 8, "color": MUTED}
    errors = [float(error) if np.isfinite(error) else 0.0 for error in rows["D_error"]]
    return {
        "type": "scatter", "mode": "markers", "name": method_name(method), "marker": marker,
        "x": [1000 / float(temperature) for temperature in rows["temperature"]],
        "y": [float(value) for value in rows["D"]],
        "error_y": {"type": "data", "array": errors, "visible": True, "thickness": 1.5, "width": 5},
        "text": [f"{temperature:g} K" for temperature in rows["temperature"]],
        "hovertemplate": "%{text}: %{y:.3e} cm²/s<extra></extra>",
    }  # fmt: skip


def _fit_line(temperatures: list[float], transport: Transport) -> list[dict[str, Any]]:
    """The fitted line over `temperatures`, K; nothing where there is no fit."""
    energy, D0 = transport.activation_energy_eV, transport.D0_cm2_s
    if energy is None or D0 is None or not temperatures or not np.isfinite([energy, D0]).all():
        return []
    ends = [temperatures[0], temperatures[-1]]
    fit = with_error(energy, transport.activation_energy_error_eV, "eV")
    return [{
        "type": "scatter", "mode": "lines", "name": f"fit, E<sub>a</sub> = {fit}", "hoverinfo": "skip",
        "x": [1000 / temperature for temperature in ends],
        "y": [D0 * float(np.exp(-energy / (kB * temperature))) for temperature in ends],
        "line": {"color": MUTED, "width": 1.5},
    }]  # fmt: skip
