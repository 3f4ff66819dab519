"""Small pieces of HTML; every string that may come from a file is escaped here."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

import numpy as np
import pandas as pd

from iondiff.report._numbers import MINUS, MISSING, rounded
from iondiff.report._style import Figure

# A section's HTML, and the figures that belong into it by the identifier of their place.
Part = tuple[str, dict[str, Figure]]
MAX_ROWS = 300
MAX_PLAIN_LENGTH = 400


def table(rows: Iterable[Sequence[str]], head: Sequence[str] = (), kind: str = "") -> str:
    """A table of ready-made HTML cells; the first column holds the row heads."""
    body = "".join(_row(cells) for cells in rows)
    return f'<table class="{kind}">{_head(head)}<tbody>{body}</tbody></table>'


def frame_table(frame: pd.DataFrame, caption: str) -> str:
    """The first rows of a data frame in a box that scrolls; `caption` is plain text."""
    columns = [frame[name].head(MAX_ROWS).tolist() for name in frame.columns]
    cells = ("".join(_cell(value) for value in row) for row in zip(*columns, strict=True))
    body = "".join(f"<tr>{row}</tr>" for row in cells)
    kinds = ["number" if pd.api.types.is_numeric_dtype(frame[name]) else "" for name in frame.columns]
    names = zip(kinds, map(str, frame.columns), strict=True)
    head = "".join(f'<th scope="col" class="{kind}">{escape(name)}</th>' for kind, name in names)
    note = (
        f" First {MAX_ROWS:,} of {len(frame):,} rows; all are in the file." if len(frame) > MAX_ROWS else ""
    )
    caption = f"<figcaption>{escape(caption)}{note}</figcaption>"
    data = f'<table class="data"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>'
    return f'<figure class="wide-table">{caption}<div class="scroll">{data}</div></figure>'


def mapping_table(data: Mapping[str, Any]) -> str:
    """Nested plain data as a table of names and values."""
    return table(((escape(name), value) for name, value in _flat(data)), kind="pairs")


def plot(identifier: str, caption: str = "", kind: str = "") -> str:
    """The place of a figure; `identifier` is one of ours, `caption` is HTML."""
    text = f"<figcaption>{caption}</figcaption>" if caption else ""
    return f'<figure class="plot {kind}"><div id="{identifier}" class="canvas"></div>{text}</figure>'


def section(identifier: str, title: str, body: str, lead: str = "") -> str:
    """A section with a heading, an optional leading sentence (HTML) and its body (HTML)."""
    opening = f'<p class="lead">{lead}</p>' if lead else ""
    return f'<section id="{identifier}"><h2>{escape(title)}</h2>{opening}{body}</section>'


def missing(what: str) -> str:
    """The sentence that stands where a part would be that this run does not have; `what` is HTML."""
    return f'<p class="missing">{what}</p>'


def script_json(data: object) -> str:
    """JSON that may stand inside a script element: no tag can begin in it, no number is NaN."""
    text = json.dumps(
        _finite(data), ensure_ascii=False, allow_nan=False, sort_keys=True, separators=(",", ":")
    )
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def _row(cells: Sequence[str]) -> str:
    first, *rest = cells
    return f'<tr><th scope="row">{first}</th>' + "".join(f"<td>{cell}</td>" for cell in rest) + "</tr>"


def _head(cells: Sequence[str]) -> str:
    columns = "".join(f'<th scope="col">{cell}</th>' for cell in cells)
    return f"<thead><tr>{columns}</tr></thead>" if columns else ""


def _flat(data: Mapping[str, Any], prefix: str = "", depth: int = 0) -> Iterable[tuple[str, str]]:
    for key, value in data.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping) and value and depth < 4:
            yield from _flat(value, f"{name} · ", depth + 1)
        else:
            yield name, _plain(value)


def _plain(value: object) -> str:
    if value is None:
        return MISSING
    if isinstance(value, bool | np.bool_):
        return "yes" if value else "no"
    if isinstance(value, int | np.integer):
        return f"{int(value):,}".replace("-", MINUS)
    if isinstance(value, float):
        number = rounded(value, 4)
        return number.rstrip("0").rstrip(".") if "." in number and "×" not in number else number
    text = value if isinstance(value, str) else json.dumps(value, default=str)
    return escape(text if len(text) <= MAX_PLAIN_LENGTH else f"{text[:MAX_PLAIN_LENGTH]} …")


def _cell(value: object) -> str:
    """A cell of a data table: floats rounded for reading, with the full number on hovering."""
    if isinstance(value, bool | int):
        return f"<td class=number>{value}</td>"
    if isinstance(value, float):
        return f'<td class=number title="{value!r}">{rounded(value, 4)}</td>'
    return f"<td>{escape(str(value))}</td>"


def _finite(data: object) -> object:
    """`data` with NaN and infinities as None, NumPy numbers as Python's."""
    if isinstance(data, dict):
        return {str(key): _finite(value) for key, value in data.items()}
    if isinstance(data, list | tuple):
        return [_finite(value) for value in data]
    if isinstance(data, np.generic):
        return _finite(data.item())
    if isinstance(data, float):
        return data if np.isfinite(data) else None
    return data
