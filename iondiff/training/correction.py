"""Interpolate what the network leaves over: a Gaussian process on residual energies and gradients.

The kernel is Wendland's C6 function of the distance between two guest positions in the periodic cell; its
compact support keeps evaluation local, and its smoothness keeps Hessians, and so saddles, smooth. The host is
frozen, so the residual is a function of three coordinates, and labels with gradients half an ångström apart
determine it (Rasmussen and Williams, Gaussian Processes for Machine Learning, 2006, ch. 2 and section 9.4).
"""

from __future__ import annotations

import numpy as np
import torch
from numba import njit

from iondiff.errors import TrainingError
from iondiff.potentials import KernelCorrection
from iondiff.potentials._kernels_guest import wendland
from iondiff.training._levenberg import one_thread


def fit_correction(
    positions: np.ndarray,
    residuals: np.ndarray,
    cell: np.ndarray,
    host: str,
    support: float = 2.5,
    amplitude: float = 0.3,
    energy_noise: float = 0.01,
    gradient_noise: float = 0.05,
) -> tuple[KernelCorrection, float]:
    """Fit the correction to residuals of labels.

    Parameters
    ----------
    positions
        (n, 3), Å.
    residuals
        (n, 4): label minus network, energy in eV and gradient in eV/Å.
    cell
        (3, 3), Å.
    host
        Fingerprint of the host.
    support, amplitude
        Å and eV: reach and standard deviation of the residual's prior.
    energy_noise, gradient_noise
        eV and eV/Å: standard deviations of the labels; residuals this small are not chased.

    Returns
    -------
    The correction, and the logarithm of the evidence of these settings, for choosing between them.
    """
    if not np.isfinite(residuals).all() or residuals.shape != (len(positions), 4):
        raise TrainingError(
            f"residuals have shape {residuals.shape}; wanted ({len(positions)}, 4) finite numbers: "
            "energy, gradient"
        )
    covariance = amplitude**2 * covariance_matrix(positions, positions, cell, support)
    noise = np.tile([energy_noise**2, *[gradient_noise**2] * 3], len(positions))
    covariance[np.diag_indices_from(covariance)] += noise
    with one_thread():
        factor, failed = torch.linalg.cholesky_ex(torch.from_numpy(covariance))
        if failed:
            raise TrainingError(
                "the correction's covariance is not positive definite; raise energy_noise or "
                "gradient_noise in "
                "[network]"
            )
        solution = torch.cholesky_solve(torch.tensor(residuals.reshape(-1, 1)), factor).numpy().ravel()
    evidence = (
        -0.5 * float((residuals.ravel() * solution).sum())
        - float(np.log(factor.diagonal().numpy()).sum())
        - 0.5 * residuals.size * np.log(2.0 * np.pi)
    )
    coefficients = amplitude**2 * solution.reshape(-1, 4)
    return KernelCorrection(positions.copy(), coefficients, float(support), host), evidence


def covariance_matrix(a: np.ndarray, b: np.ndarray, cell: np.ndarray, support: float) -> np.ndarray:
    """Covariance (4 n_a, 4 n_b) of (value, gradient) at `a` with that at `b`, summed over images."""
    inverse = np.linalg.inv(cell)
    fractional = (a[:, None] - b[None]) @ inverse
    fractional -= np.round(fractional)
    # A difference lies within half a cell: along a lattice vector so many images come within the support.
    reach = np.ceil(support * np.linalg.norm(inverse, axis=0) + 0.5).astype(np.int64)
    out = np.zeros((len(a), 4, len(b), 4))
    _add_covariances(fractional, np.ascontiguousarray(cell, dtype=float), reach, float(support), out)
    return out.reshape(4 * len(a), 4 * len(b))


@njit(cache=True, error_model="numpy")
def _add_covariances(fractional, cell, reach, support, out):
    """Add the covariance of every pair and image; `fractional` (n_a, n_b, 3) are differences a − b."""
    d = np.empty(3)
    for i in range(fractional.shape[0]):
        for j in range(fractional.shape[1]):
            for n0 in range(-reach[0], reach[0] + 1):
                for n1 in range(-reach[1], reach[1] + 1):
                    for n2 in range(-reach[2], reach[2] + 1):
                        f0 = fractional[i, j, 0] + n0
                        f1 = fractional[i, j, 1] + n1
                        f2 = fractional[i, j, 2] + n2
                        for k in range(3):
                            d[k] = f0 * cell[0, k] + f1 * cell[1, k] + f2 * cell[2, k]
                        r2 = d[0] * d[0] + d[1] * d[1] + d[2] * d[2]
                        if r2 >= support * support:
                            continue
                        value, first, second = wendland(np.sqrt(r2) / support)
                        first /= support**2
                        second /= support**4
                        out[i, 0, j, 0] += value
                        for k in range(3):
                            out[i, 0, j, 1 + k] -= first * d[k]
                            out[i, 1 + k, j, 0] += first * d[k]
                            out[i, 1 + k, j, 1 + k] -= first
                            for m in range(3):
                                out[i, 1 + k, j, 1 + m] -= second * d[k] * d[m]
