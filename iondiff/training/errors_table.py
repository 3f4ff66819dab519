"""Where the error sits: by part, by energy above the lowest label, by distance to the host."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

_ENERGY_EDGES = (0.0, 1.0, 2.0, 3.0, np.inf)  # eV above the lowest label
_DISTANCE_EDGES = (0.0, 1.4, 1.5, 1.6, 1.7, 1.9, np.inf)  # Å to the nearest host atom


def rmse(errors: np.ndarray) -> float | None:
    """Root mean square, None where there is nothing to average."""
    return float(np.sqrt((errors**2).mean())) if errors.size else None


def error_table(
    energies: np.ndarray,
    gradients: np.ndarray,
    predicted: np.ndarray,
    predicted_gradients: np.ndarray,
    distances: np.ndarray,
    lowest: float,
) -> dict[str, Any]:
    """Errors of a set of labels as plain data: meV and eV/Å.

    Parameters
    ----------
    energies, predicted
        (n,), eV.
    gradients, predicted_gradients
        (n, 3), eV/Å.
    distances
        (n,), Å, to the nearest host atom.
    lowest
        eV, lowest label of all, from which energies are counted.
    """
    error = 1e3 * (predicted - energies)
    height = energies - lowest
    return {
        "count": len(energies),
        "rmse_meV": rmse(error),
        "mae_meV": float(np.abs(error).mean()) if error.size else None,
        "median_meV": float(np.median(np.abs(error))) if error.size else None,
        "low_count": int((height < 1.0).sum()),
        "rmse_low_meV": rmse(error[height < 1.0]),
        "gradient_rmse_eV_A": rmse(predicted_gradients - gradients),
        "by_energy": _binned(error, height, _ENERGY_EDGES, "eV"),
        "by_distance": _binned(error, distances, _DISTANCE_EDGES, "A"),
    }


def _binned(
    error: np.ndarray, value: np.ndarray, edges: tuple[float, ...], unit: str
) -> list[dict[str, Any]]:
    rows = []
    for low, high in itertools.pairwise(edges):
        inside = (value >= low) & (value < high)
        if inside.any():
            rows.append(
                {
                    f"from_{unit}": low,
                    f"to_{unit}": None if np.isinf(high) else high,
                    "count": int(inside.sum()),
                    "rmse_meV": rmse(error[inside]),
                }
            )
    return rows


def parity(splits: dict[str, tuple[np.ndarray, np.ndarray]]) -> dict[str, list]:
    """Reference and predicted energies (eV) of every split in one table."""
    return {
        "split": [name for name, (reference, _) in splits.items() for _ in reference],
        "reference_eV": [float(x) for reference, _ in splits.values() for x in reference],
        "predicted_eV": [float(x) for _, predicted in splits.values() for x in predicted],
    }
