"""Vibrations of some atoms with any calculator, and attempt frequencies by Vineyard's rule from them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from ase.data import atomic_masses

from search.calculators import Evaluations
from search.errors import SearchError
from search.lattice import Floats, Ints

# sqrt(eV / Å² / amu) / 2π in THz: sqrt(1.602176634e-19 J / 1e-20 m² / 1.66053906892e-27 kg) / 2π / 1e12.
_THZ = float(np.sqrt(1.602176634e-19 / 1e-20 / 1.66053906892e-27) / (2.0 * np.pi) / 1e12)


@dataclass(frozen=True)
class Modes:
    """Normal modes of the atoms `rows` of a structure, all others held.

    frequencies: (3k,), THz, ascending, imaginary ones negative; vectors: (3k, 3k), columns, mass-weighted.
    """

    rows: Ints
    frequencies: Floats
    vectors: Floats

    @property
    def negative(self) -> int:
        """How many modes are imaginary."""
        return int((self.frequencies < 0).sum())


def modes(evaluate: Evaluations, x: Floats, rows: Ints | None = None, step: float = 0.01) -> Modes:
    """Modes at the configuration x (3m,), Å, of the m moving atoms; `rows` (k,) of them vibrate, or all.

    Central differences, 6 evaluations an atom, moves of `step` Å. With all atoms of a structure of which none
    is fixed, its three translations are projected out.
    """
    count = len(evaluate.moving)
    chosen = np.arange(count) if rows is None else np.asarray(rows, dtype=np.int64)
    coordinates = (3 * chosen[:, None] + np.arange(3)).ravel()
    points = np.repeat(x[None], 2 * len(coordinates), axis=0)
    points[np.arange(len(coordinates)), coordinates] += step
    points[len(coordinates) + np.arange(len(coordinates)), coordinates] -= step
    _, gradients = evaluate(points, "hessians")
    raw = (gradients[: len(coordinates)] - gradients[len(coordinates) :])[:, coordinates] / (2.0 * step)
    masses = atomic_masses[evaluate.base.numbers[evaluate.moving[chosen]]].repeat(3)
    weighted = 0.5 * (raw + raw.T) / np.sqrt(np.outer(masses, masses))
    if len(chosen) == len(evaluate.base):
        drift = np.tile(np.eye(3), (len(chosen), 1)) * np.sqrt(masses)[:, None]
        drift, _ = np.linalg.qr(drift)
        inside = np.eye(len(coordinates)) - drift @ drift.T
        # Translations are lifted far above every vibration and cut off.
        lifted = inside @ weighted @ inside + 1e6 * drift @ drift.T
        values, vectors = np.linalg.eigh(lifted)
        values, vectors = values[:-3], vectors[:, :-3]
    else:
        values, vectors = np.linalg.eigh(weighted)
    return Modes(chosen, np.sign(values) * np.sqrt(np.abs(values)) * _THZ, vectors)


def attempt_frequency(site: Modes, saddle: Modes) -> float:
    """Vineyard's attempt frequency, Hz: Π ν(site) / Π' ν(saddle), J. Phys. Chem. Solids 3, 121 (1957).

    Raises
    ------
    SearchError
        unless the site has no imaginary mode and the saddle exactly one.
    """
    if site.negative or saddle.negative != 1 or (site.frequencies == 0).any():
        raise SearchError(
            f"Vineyard's rule needs a minimum and a first-order saddle; the site has {site.negative} "
            f"imaginary modes, the saddle {saddle.negative}, its lowest being "
            f"{np.round(saddle.frequencies[:3], 3).tolist()} THz."
        )
    logs = np.log(site.frequencies).sum() - np.log(saddle.frequencies[1:]).sum()
    return float(np.exp(logs) * 1e12)


def closed_frequencies(
    forward: Floats, backward: Floats, sources: Ints, targets: Ints, kinds: int
) -> tuple[Floats, Floats, float]:
    """Attempt frequencies whose ratios close around every loop, nearest to those given.

    Frequencies from different sets of atoms need not obey detailed balance. With one weight Z for each kind
    of site, Z_i ν_ij = Z_j ν_ji: the ln Z of least squares keep every product ν_ij ν_ji and change the ratio
    alone. forward, backward: (n,), Hz; sources, targets: (n,), kinds of site. Returns both, closed, and the
    largest change of a ln ν.
    """
    ratio = np.log(forward / backward)
    matrix = np.zeros((len(ratio), kinds))
    rows = np.arange(len(ratio))
    np.add.at(matrix, (rows, targets), 1.0)
    np.add.at(matrix, (rows, sources), -1.0)
    weights = np.linalg.lstsq(matrix, ratio, rcond=None)[0]
    closed = matrix @ weights
    mean = np.sqrt(forward * backward)
    change = float(np.abs(0.5 * (closed - ratio)).max(initial=0.0))
    return mean * np.exp(0.5 * closed), mean * np.exp(-0.5 * closed), change


def listed(several: Sequence[Modes]) -> list[list[float]]:
    """Frequencies, THz, as plain numbers."""
    return [[float(round(f, 4)) for f in one.frequencies] for one in several]
