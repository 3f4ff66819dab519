"""The section on what could still change: convergence with hops and labels, places beyond the training."""

from __future__ import annotations

from html import escape
from typing import Any

from iondiff.report._files import Run
from iondiff.report._html import Part, missing, plot, section, table
from iondiff.report._models import Checks, Extrapolation, HopsPoint, LabelsPoint
from iondiff.report._numbers import count, rounded
from iondiff.report._style import ACCENT, BLUE, Figure, axis, figure

_MOST_PLACES = 20
_MARGIN = {"l": 84, "r": 18, "t": 22, "b": 52}  # room for numbers with exponents


def checks_section(run: Run) -> Part:
    """Convergence and extrapolation."""
    heading, checks = "Could it still change?", run.checks
    if checks is None:
        return section("checks", heading, missing("Not run: no <code>checks.json</code>.")), {}
    figures: dict[str, Figure] = {}
    body = '<div class="two">'
    if len(checks.hops) > 1:
        figures["over-hops"] = _over_hops(checks.hops)
        body += plot("over-hops", f"D at {checks.temperature:g} K against the number of hops walked.")
    else:
        body += missing("D against the number of hops: not in this run.")
    if len(checks.labels) > 1:
        figures["over-labels"] = _over_labels(checks.labels)
        body += plot(
            "over-labels",
            f"Exact D at {checks.temperature:g} K against the number of labels, one prefactor for all hops.",
        )
    else:
        body += missing(
            "D against the number of labels: not in this run; <code>checks.label_fractions</code> or rounds of "
            "<code>improve</code> make it."
        )
    return section("checks", heading, f"{body}</div>{_extrapolation(checks)}"), figures


def _over_hops(points: list[HopsPoint]) -> Figure:
    shown = [point for point in points if point.D is not None]
    trace: dict[str, Any] = {
        "type": "scatter", "mode": "markers", "x": [p.hops for p in shown], "y": [p.D for p in shown],
        "error_y": {"type": "data", "array": [p.D_error or 0.0 for p in shown], "thickness": 1.5, "width": 5},
        "marker": {"color": ACCENT, "size": 9}, "hovertemplate": "%{x} hops: %{y:.3e} cm²/s<extra></extra>",
    }  # fmt: skip
    return figure(
        [trace],
        axis("Hops of all walkers", type="log", dtick=1, exponentformat="power"),
        _d_axis(),
        margin=_MARGIN,
    )


def _over_labels(points: list[LabelsPoint]) -> Figure:
    shown = [point for point in points if point.D]
    trace: dict[str, Any] = {
        "type": "scatter", "mode": "lines+markers", "x": [p.labels for p in shown], "y": [p.D for p in shown],
        "line": {"color": BLUE, "width": 2}, "marker": {"size": 8},
        "hovertemplate": "%{x} labels: %{y:.3e} cm²/s<extra></extra>",
    }  # fmt: skip
    return figure([trace], axis("Labels trained on"), _d_axis(), margin=_MARGIN)


def _d_axis() -> dict[str, Any]:
    return axis("D, cm²/s", tickformat=".2~e", nticks=6, rangemode="tozero")


def _extrapolation(checks: Checks) -> str:
    found: Extrapolation | None = checks.extrapolation
    if found is None:
        return ""
    spread = ""
    if found.largest_spread_eV is not None:
        spread = (
            f" The committee's members differ by {rounded(1e3 * (found.median_spread_eV or 0.0), 2)} meV in the median "
            f"and {rounded(1e3 * found.largest_spread_eV, 2)} meV at most."
        )
    places = count(found.looked_at, "site or pass", "sites and passes")
    if not found.outside:
        sentence = f"All {places} are within the range of the training labels."
        return f'<h3>Extrapolation</h3><p><span class="badge good">none</span> {sentence}{spread}</p>'
    head = ["Place", "functions outside", "by at most, σ of the labels", "members differ by, meV"]
    rows = [
        [
            escape(p.place), f"{p.functions_outside} of {found.functions}", rounded(p.farthest_sigma, 2),
            rounded(None if p.spread_eV is None else 1e3 * p.spread_eV, 2),
        ]
        for p in found.places[:_MOST_PLACES]
    ]  # fmt: skip
    sentence = f"{found.outside} of {places} lie where the potential has seen no label like them.{spread}"
    return (
        f'<h3>Extrapolation</h3><p><span class="badge bad">{found.outside} outside</span> {sentence}</p>'
        + table(rows, head=head, kind="numbers")
    )
