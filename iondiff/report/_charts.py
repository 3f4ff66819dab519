"""Figures of the trained potential and of the barriers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from iondiff.report._geometry import HopLines
from iondiff.report._models import CurvePoint, DistanceBin, EnergyBin, Parity
from iondiff.report._style import ACCENT, BLUE, MUTED, PALE_BLUE, TEAL, Figure, axis, corner, figure

ErrorRow = tuple[float, float | None, int, float | None]
_SPLITS = {
    "train": ("training", PALE_BLUE, 4),
    "validation": ("validation", "#c9b458", 5),
    "test": ("test", ACCENT, 5),
}


def parity(data: Parity) -> Figure:
    """Network against teacher, eV; the test labels on top."""
    split = np.array(data.split, dtype=object)
    reference, predicted = np.array(data.reference_eV), np.array(data.predicted_eV)
    finite = np.isfinite(reference) & np.isfinite(predicted)
    traces = []
    for key, (name, color, size) in _SPLITS.items():
        mine = finite & (split == key)
        if mine.any():
            traces.append({
                "type": "scatter", "mode": "markers", "name": f"{name} ({int(mine.sum())})",
                "x": _plain(reference[mine]), "y": _plain(predicted[mine]),
                "marker": {"size": size, "color": color, "opacity": 0.75},
                "hovertemplate": "teacher %{x:.3f} eV<br>network %{y:.3f} eV<extra></extra>",
            })  # fmt: skip
    both = np.concatenate([reference[finite], predicted[finite], [0.0] if not finite.any() else []])
    ends = [float(both.min()), float(both.max())]
    diagonal = {
        "type": "scatter", "mode": "lines", "x": ends, "y": ends, "hoverinfo": "skip", "showlegend": False,
        "line": {"color": MUTED, "width": 1},
    }  # fmt: skip
    return figure([diagonal, *traces], axis("Teacher, eV"), axis("Guest network, eV"))


def error_by_distance(bins: Sequence[DistanceBin], noise: float | None) -> Figure:
    """Test error, meV, by the distance to the nearest host atom, Å."""
    rows = [(row.from_A, row.to_A, row.count, row.rmse_meV) for row in bins]
    return _error_bars(rows, "Distance to the nearest host atom, Å", noise)


def error_by_energy(bins: Sequence[EnergyBin], noise: float | None) -> Figure:
    """Test error, meV, by the energy above the lowest label, eV."""
    rows = [(row.from_eV, row.to_eV, row.count, row.rmse_meV) for row in bins]
    return _error_bars(rows, "Energy above the lowest label, eV", noise)


def learning_curve(points: Sequence[CurvePoint], noise: float | None) -> Figure:
    """Test error, meV, against the number of labels, both logarithmic."""
    labels = [point.labels for point in points]
    everywhere = [point.rmse_meV for point in points]
    low = [point.rmse_low_meV for point in points]
    traces = [
        _curve("all test labels", labels, everywhere, BLUE, "circle"),
        _curve("within 1 eV of the lowest", labels, low, TEAL, "square"),
    ]
    ticks = [step * 10**power for power in range(-1, 5) for step in (1, 2, 5)]
    x = axis("Labels", type="log", tickvals=labels, ticktext=[f"{n:,}" for n in labels])
    y = axis("Test RMSE, meV", type="log", tickvals=ticks, ticktext=[f"{tick:g}" for tick in ticks])
    return figure(traces, x, y, legend=corner("right", "top"), **_noise_line(noise))


def barrier_histogram(hops: HopLines) -> Figure:
    """Number of hops by barrier, eV; both directions count; those that carry the current in front."""
    barriers = hops.barriers.ravel() if hops.barriers.size else np.array([1.0])
    step = _round_step(float(barriers.max() - min(barriers.min(), 0.0)) / 30)
    first = min(math.floor(barriers.min() / step), 0)
    edges = step * np.arange(first, math.floor(barriers.max() / step) + 2)
    centres = [round(float(centre), 6) for centre in (edges[:-1] + edges[1:]) / 2]
    traces = [_bars("all hops", PALE_BLUE, centres, np.histogram(hops.barriers, edges)[0].tolist(), step)]
    if hops.carries.any():
        carrying = np.histogram(hops.barriers[hops.carries], edges)[0].tolist()
        traces.append(_bars("carry the current", ACCENT, centres, carrying, step))
    legend = corner("right", "top")
    return figure(traces, axis("Barrier, eV"), axis("Hops"), barmode="overlay", bargap=0.0, legend=legend)


def _curve(name: str, x: list[int], y: Sequence[float | None], color: str, symbol: str) -> dict[str, Any]:
    return {
        "type": "scatter", "mode": "lines+markers", "name": name, "x": x, "y": y,
        "line": {"color": color, "width": 2}, "marker": {"size": 8, "symbol": symbol},
        "hovertemplate": "%{x} labels<br>%{y:.1f} meV<extra></extra>",
    }  # fmt: skip


def _bars(name: str, color: str, x: list[float], y: list[int], width: float) -> dict[str, Any]:
    return {
        "type": "bar", "name": name, "x": x, "y": y, "width": width * 0.92,
        "marker": {"color": color, "line": {"width": 0}},
        "hovertemplate": "%{x:.2f} eV: %{y} hops<extra></extra>",
    }  # fmt: skip


def _error_bars(rows: list[ErrorRow], title: str, noise: float | None) -> Figure:
    trace = {
        "type": "bar", "marker": {"color": BLUE},
        "x": [f"> {low:g}" if high is None else f"{low:g} – {high:g}" for low, high, _, _ in rows],
        "y": [error for *_, error in rows],
        "text": [f"n = {count}" for _, _, count, _ in rows], "textposition": "outside",
        "textfont": {"size": 11, "color": MUTED}, "cliponaxis": False,
        "hovertemplate": "%{x}: %{y:.1f} meV, %{text}<extra></extra>",
    }  # fmt: skip
    largest = max((error for *_, error in rows if error is not None), default=1.0)
    y = axis("Test RMSE, meV", range=[0, 1.15 * largest])
    return figure([trace], axis(title, type="category"), y, bargap=0.35, **_noise_line(noise))


def _noise_line(noise: float | None) -> dict[str, Any]:
    """A dotted line where the labels themselves disagree, meV; no network can be better."""
    if noise is None or not noise > 0:
        return {}
    line = {"color": ACCENT, "width": 1.5, "dash": "dot"}
    return {
        "shapes": [
            {"type": "line", "xref": "paper", "x0": 0, "x1": 1, "y0": noise, "y1": noise, "line": line}
        ]
    }


def _round_step(size: float) -> float:
    """The smallest of 0.01, 0.02, 0.05, 0.1 ... that is at least `size`."""
    return next((step for step in (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0) if step >= size), size)


def _plain(values: np.ndarray) -> list[float]:
    return [round(float(value), 5) for value in values]
