"""Points that others measured or computed, for the Arrhenius plot beside a run's own."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pandas as pd

from iondiff.errors import RunError
from iondiff.files import brief, read_bounded

COLUMNS = ("temperature", "D", "source")
_LARGEST = 16 << 20  # bytes


def read_literature(path: Path | None) -> pd.DataFrame:
    """A table with the columns ``temperature`` (K), ``D`` (cm²/s) and ``source``; empty where there is no file.

    Raises
    ------
    RunError
        Missing file, a column that is not there, or a number that cannot be drawn.
    """
    if path is None:
        return pd.DataFrame({name: [] for name in COLUMNS})
    try:
        table = pd.read_csv(io.BytesIO(read_bounded(path, _LARGEST)), comment="#")
    except FileNotFoundError:
        raise RunError(f"literature table {path} does not exist") from None
    except Exception as error:  # pandas raises many kinds
        raise RunError(f"literature table {path} cannot be read: {brief(error)}") from error
    missing = [name for name in COLUMNS[:2] if name not in table]
    if missing:
        raise RunError(
            f"literature table {path} has no column {missing[0]!r}; wanted temperature (K), D (cm²/s) and, "
            "if you like, source"
        )
    points = {}
    for name in COLUMNS[:2]:
        numbers = pd.to_numeric(table[name], errors="coerce").to_numpy(dtype=float)
        wrong = np.flatnonzero(~(np.isfinite(numbers) & (numbers > 0)))
        if len(wrong):
            raise RunError(
                f"literature table {path}: {name} in row {int(wrong[0]) + 1} is "
                f"{brief(repr(table[name].iloc[int(wrong[0])]), 60)}; wanted a number above zero"
            )
        points[name] = numbers
    sources = table["source"].astype(str).tolist() if "source" in table else ["literature"] * len(table)
    return pd.DataFrame({**points, "source": sources}, columns=list(COLUMNS))
