"""One HTML page about a training: parity, learning curves, errors, the atoms known least. No scripts in it."""

from __future__ import annotations

import html
import math
from collections.abc import Sequence
from typing import Any

_COLOURS = {"train": "#9db8d2", "validation": "#c9a227", "test": "#b3372f"}
_WIDTH, _HEIGHT, _LEFT, _BOTTOM = 480, 380, 70, 50


def page(
    errors: dict[str, Any], parity: dict[str, list[Any]], forces: dict[str, list[Any]],
    members: Sequence[dict[str, Any]], worst: Sequence[dict[str, Any]], warnings: Sequence[str],
) -> str:  # fmt: skip
    """The page as text; `forces` are the rows of :func:`iondiff.training.results.force_parity`."""
    notes = "".join(f"<p class=warning>{html.escape(w)}</p>" for w in warnings)
    return (
        "<!doctype html><html lang=en><meta charset=utf-8><title>Training</title><style>"
        "body{font:15px/1.45 system-ui,sans-serif;max-width:1020px;margin:2em auto;color:#222}"
        "table{border-collapse:collapse;margin:1em 0}td,th{padding:.2em .8em;text-align:right}"
        "td:first-child,th:first-child{text-align:left}tr.split{font-weight:600;border-top:1px solid #bbb}"
        ".warning{background:#fdf3d8;padding:.5em 1em}svg{width:49%}</style>"
        f"<h1>Training</h1>{notes}{_parity(parity)}{_force_parity(forces)}{_curves(members)}<h2>Errors</h2>{_errors(errors)}"
        f"<h2>The atoms whose forces are furthest off</h2>{_worst(worst)}</html>\n"
    )


def _ticks(low: float, high: float, count: int = 5) -> list[float]:
    step = 10.0 ** math.floor(math.log10(max(high - low, 1e-12) / count))
    step *= min((f for f in (1, 2, 5, 10) if (high - low) / (f * step) <= count), default=10)
    first = math.ceil(low / step)
    return [step * k for k in range(first, math.floor(high / step) + 1)]


def _frame(
    title: str, across: tuple[float, float], up: tuple[float, float], labels: tuple[str, str], marks: str,
    powers: bool = False,
) -> str:  # fmt: skip
    parts = [
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" font-size="12"><text x="{_LEFT}" y="16" font-weight="600">{title}'
        f'</text><path d="M{_LEFT},28V{_HEIGHT - _BOTTOM}H{_WIDTH - 10}" fill="none" stroke="#444"/>'
    ]
    below = _HEIGHT - _BOTTOM + 18
    parts += [
        f'<text x="{_x(t, across):.1f}" y="{below}" text-anchor="middle">{t:.6g}</text>'
        for t in _ticks(*across)
    ]
    for t in _ticks(*up):
        text = f"1e{t:g}" if powers else f"{t:.6g}"
        parts.append(f'<text x="{_LEFT - 6}" y="{_y(t, up) + 4:.1f}" text-anchor="end">{text}</text>')
    parts.append(f'<text x="{_WIDTH / 2}" y="{_HEIGHT - 8}" text-anchor="middle">{labels[0]}</text>')
    turned = f'transform="translate(14,{_HEIGHT / 2}) rotate(-90)" text-anchor="middle"'
    parts.append(f"<text {turned}>{labels[1]}</text>{marks}</svg>")
    return "".join(parts)


def _x(value: float, span: tuple[float, float]) -> float:
    return _LEFT + (_WIDTH - _LEFT - 10) * (value - span[0]) / (span[1] - span[0])


def _y(value: float, span: tuple[float, float]) -> float:
    return _HEIGHT - _BOTTOM - (_HEIGHT - _BOTTOM - 28) * (value - span[0]) / (span[1] - span[0])


def _parity(parity: dict[str, list[Any]]) -> str:
    rows = [
        (a, b, s, n)
        for a, b, s, n in zip(
            parity["energy_eV_atom"],
            parity["predicted_eV_atom"],
            parity["split"],
            parity["structure"],
            strict=True,
        )
        if math.isfinite(a) and math.isfinite(b)
    ]
    if not rows:
        return ""
    span = _span([v for a, b, _, _ in rows for v in (a, b)])
    marks = _diagonal(span)
    for wanted in _COLOURS:
        marks += "".join(
            f'<circle cx="{_x(a, span):.1f}" cy="{_y(b, span):.1f}" r="3" fill="{_COLOURS[s]}">'
            f"<title>{html.escape(n)}: {1e3 * (b - a):+.2f} meV/atom</title></circle>"
            for a, b, s, n in rows
            if s == wanted
        )
    return _frame(
        "Energies: training, validation (gold), test (red)", span, span, ("reference, eV/atom", "predicted, eV/atom"),
        marks,
    )  # fmt: skip


def _span(values: Sequence[float]) -> tuple[float, float]:
    pad = 0.03 * max(max(values) - min(values), 1e-6)
    return min(values) - pad, max(values) + pad


def _diagonal(span: tuple[float, float]) -> str:
    return (
        f'<path d="M{_x(span[0], span):.1f},{_y(span[0], span):.1f}L{_x(span[1], span):.1f},{_y(span[1], span):.1f}" '
        'stroke="#999" stroke-dasharray="4 4"/>'
    )


def _force_parity(forces: dict[str, list[Any]]) -> str:
    """All components; those of one split that fall on the same dot are drawn once."""
    splits = forces["split"]
    pairs = [
        (a, b, splits[k])
        for axis in "xyz"
        for k, (a, b) in enumerate(
            zip(forces[f"f{axis}_eV_A"], forces[f"predicted_f{axis}_eV_A"], strict=True)
        )
        if math.isfinite(a) and math.isfinite(b)
    ]
    if not pairs:
        return ""
    span = _span([v for a, b, _ in pairs for v in (a, b)])
    marks = _diagonal(span)
    for wanted, colour in _COLOURS.items():
        dots = {(round(_x(a, span)), round(_y(b, span))) for a, b, s in pairs if s == wanted}
        path = "".join(f"M{x},{y}h1" for x, y in sorted(dots))
        marks += f'<path d="{path}" stroke="{colour}" stroke-width="2"/>' if path else ""
    return _frame("Force components", span, span, ("reference, eV/Å", "predicted, eV/Å"), marks)


def _curves(members: Sequence[dict[str, Any]]) -> str:
    series = [
        (
            name,
            [
                (row["epoch"], math.log10(row[f"{name}_loss"]))
                for row in m["history"]
                if row[f"{name}_loss"] > 0
            ],
        )
        for m in members
        for name in ("train", "validation")
    ]
    points = [p for _, line in series for p in line]
    if len(points) < 2:
        return ""
    across = (0.0, max(2.0, *(p[0] for p in points)))
    low, high = min(p[1] for p in points), max(p[1] for p in points)
    up = (low - 0.05 * (high - low) - 1e-3, high + 0.05 * (high - low) + 1e-3)
    marks = "".join(
        f'<polyline fill="none" stroke-width="1.5" stroke="{_COLOURS[name]}" points="'
        + " ".join(f"{_x(a, across):.1f},{_y(b, up):.1f}" for a, b in line)
        + '"/>'
        for name, line in series
        if line
    )
    return _frame("Loss of every member", across, up, ("epoch", "loss"), marks, powers=True)


def _errors(errors: dict[str, Any]) -> str:
    head = (
        "<tr><th></th><th>structures</th><th colspan=2>energy, meV/atom</th><th colspan=2>force, eV/Å</th>"
        "<th colspan=2>stress, GPa</th></tr><tr><th></th><th></th>"
        + "<th>MAE</th><th>RMSE</th>" * 3
        + "</tr>"
    )
    rows = []
    for split, whole in errors.items():
        rows.append(_row("split", split, whole))
        rows += [_row("", name, part) for name, part in whole["by_config_type"].items()]
        if len(whole["by_element"]) > 1:
            rows += [_row("", name, part) for name, part in whole["by_element"].items()]
    return f"<table>{head}{''.join(rows)}</table>"


def _row(kind: str, name: str, part: dict[str, Any]) -> str:
    cells = f"<td>{html.escape(name)}</td><td>{part['structures']}</td>"
    for key, digits in (("energy_meV_atom", 2), ("force_eV_A", 4), ("stress_GPa", 3)):
        values = part.get(key)
        cells += "".join(
            f"<td>{values[k]:.{digits}f}</td>" if values else "<td></td>" for k in ("mae", "rmse")
        )
    return f"<tr class='{kind}'>{cells}</tr>"


def _worst(worst: Sequence[dict[str, Any]]) -> str:
    head = "<tr><th>structure</th><th>split</th><th>type</th><th>atom</th><th>error, eV/Å</th><th>force, eV/Å</th></tr>"
    rows = "".join(
        f"<tr><td>{html.escape(w['structure'])}</td><td>{w['split']}</td><td>{html.escape(w['config_type'])}</td>"
        f"<td>{w['atom']} {w['element']}</td><td>{w['force_error_eV_A']:.3f}</td><td>{w['force_eV_A']:.3f}</td></tr>"
        for w in worst
    )
    return f"<table>{head}{rows}</table>"
