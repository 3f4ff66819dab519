"""One look for every figure: palette, fonts, axes. Figures are plain data, ready for plotly.js."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

Figure = dict[str, Any]

INK = "#1f2933"
MUTED = "#66727f"
RULE = "#dfe4ea"
BLUE = "#2f5d8c"
PALE_BLUE = "#a9bfd6"
TEAL = "#2f8f83"
ACCENT = "#d1495b"
AMBER = "#e9b949"
SITE_SCALE = ("#2b1e5a", "#31588f", "#2f8f83", "#8fc26a", "#f4e04d")
HOP_SCALE = ("#12263f", "#33567d", "#6685a6", "#9cb2c8", "#cdd8e3")
FONT = 'system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif'


def figure(data: list[dict[str, Any]], x: dict[str, Any], y: dict[str, Any], **layout: Any) -> Figure:
    """A two-dimensional figure of `data` with the axes `x` and `y` (see `axis`)."""
    return {"data": data, "layout": base_layout(xaxis=x, yaxis=y, **layout)}


def base_layout(**changes: Any) -> dict[str, Any]:
    """The layout all figures share, changed by `changes`."""
    layout = {
        "font": {"family": FONT, "size": 13, "color": INK},
        "paper_bgcolor": "rgba(255,255,255,0)",
        "plot_bgcolor": "rgba(255,255,255,0)",
        "margin": {"l": 62, "r": 18, "t": 22, "b": 52},
        "hoverlabel": {
            "bgcolor": "#ffffff",
            "bordercolor": RULE,
            "font": {"family": FONT, "size": 12, "color": INK},
        },
        "modebar": {"bgcolor": "rgba(255,255,255,0)", "color": "#b4bdc7", "activecolor": INK},
        "legend": corner("left", "top"),
    }
    return layout | changes


def corner(x: str, y: str) -> dict[str, Any]:
    """A legend in a corner of its plot: `x` is left or right, `y` is top or bottom."""
    place = {"left": 0.02, "right": 0.98, "bottom": 0.03, "top": 0.98}
    return {"x": place[x], "xanchor": x, "y": place[y], "yanchor": y, "bgcolor": "rgba(255,255,255,0.75)"}


def axis(title: str, **changes: Any) -> dict[str, Any]:
    """An axis with its `title` (and unit), thin lines, ticks outside."""
    look = {
        "title": {"text": title, "standoff": 8, "font": {"size": 13}},
        "showline": True,
        "linecolor": "#9aa5b1",
        "gridcolor": "#eef1f4",
        "zeroline": False,
        "ticks": "outside",
        "ticklen": 4,
        "tickcolor": "#9aa5b1",
        "tickfont": {"size": 12, "color": MUTED},
    }
    return look | changes


def shade(scale: Sequence[str], fraction: float) -> str:
    """The colour `fraction` (0 to 1) of the way along `scale`.

    >>> shade(("#000000", "#ffffff"), 0.5)
    '#808080'
    """
    place = min(max(fraction, 0.0), 1.0) * (len(scale) - 1)
    first = min(int(place), len(scale) - 2)
    return blend(scale[first], scale[first + 1], place - first)


def blend(first: str, second: str, fraction: float) -> str:
    """`first` with `fraction` of `second` mixed in."""
    pairs = zip(_channels(first), _channels(second), strict=True)
    return "#" + "".join(f"{round(a + fraction * (b - a)):02x}" for a, b in pairs)


def colorscale(scale: Sequence[str]) -> list[list[Any]]:
    """`scale` in plotly's notation."""
    return [[number / (len(scale) - 1), color] for number, color in enumerate(scale)]


def _channels(color: str) -> list[int]:
    return [int(color[place : place + 2], 16) for place in (1, 3, 5)]
