"""Hessians by finite differences of the gradient, and attempt frequencies by Vineyard's rule."""

import numpy as np
from ase.data import atomic_masses, atomic_numbers

from search.errors import SearchError
from search.landscape import Evaluator
from search.lattice import Floats

# sqrt(eV / Å² / amu) in rad/s: sqrt(1.602176634e-19 J / 1e-20 m² / 1.66053906892e-27 kg).
_ANGULAR = float(np.sqrt(1.602176634e-19 / 1e-20 / 1.66053906892e-27))


def guest_mass(guest: str) -> float:
    """Mass of the guest, amu, from its chemical symbol."""
    if guest not in atomic_numbers or guest == "X":
        raise SearchError(
            f"guest={guest!r} is not a chemical symbol; vineyard prefactors need its mass, e.g. guest='Cu'."
        )
    return float(atomic_masses[atomic_numbers[guest]])


def hessians(evaluate: Evaluator, positions: Floats, step: float = 0.005) -> Floats:
    """Hessians (n, 3, 3), eV/Å², at positions (n, 3), Å, by central differences of the gradient.

    6 calls a point.
    """
    n = len(positions)
    shifts = step * np.concatenate([np.eye(3), -np.eye(3)])
    points = (positions[:, None, :] + shifts[None, :, :]).reshape(-1, 3)
    _, gradients = evaluate(points, stage="hessians")
    gradients = gradients.reshape(n, 2, 3, 3)
    raw = (gradients[:, 0] - gradients[:, 1]) / (2.0 * step)
    return np.asarray(0.5 * (raw + raw.transpose(0, 2, 1)))


def vineyard(site: Floats, saddle: Floats, mass: float) -> float:
    """Attempt frequency, Hz, of a guest of `mass` amu leaving a site over a saddle; Hessians (3, 3), eV/Å².

    ν = Π ν_site / Π' ν_saddle over real modes (Vineyard, J. Phys. Chem. Solids 3, 121 (1957)). A saddle with
    other than one negative curvature, or a site with any, is refused.
    """
    at_site, at_saddle = np.linalg.eigvalsh(site), np.linalg.eigvalsh(saddle)
    if (at_site <= 0).any() or (at_saddle < 0).sum() != 1 or (at_saddle == 0).any():
        raise SearchError(
            f"Vineyard's rule needs a minimum and a first-order saddle; curvatures are "
            f"{np.round(at_site, 6).tolist()} "
            f"at the site and {np.round(at_saddle, 6).tolist()} at the saddle, eV/Å²."
        )
    ratio = np.prod(at_site) / np.prod(at_saddle[1:])
    return float(np.sqrt(ratio / mass) * _ANGULAR / (2.0 * np.pi))


def modes_thz(hessian: Floats, mass: float) -> list[float]:
    """Frequencies (3), THz, of a guest of `mass` amu with a Hessian (3, 3), eV/Å²; imaginary ones negative."""
    values = np.linalg.eigvalsh(hessian)
    frequencies = np.sign(values) * np.sqrt(np.abs(values) / mass) * _ANGULAR / (2.0 * np.pi) / 1e12
    return [float(f) for f in frequencies]
