"""Interpolate what the network leaves over: a Gaussian process on residual energies and gradients.

The kernel is Wendland's C6 function of the distance between two guest positions in the periodic cell; its
compact support keeps evaluation local, and its smoothness keeps Hessians, and so saddles, smooth. The host is
frozen, so the residual is a function of three coordinates, and labels with gradients half an ångström apart
determine it (Rasmussen and Williams, Gaussian Processes for Machine Learning, 2006, ch. 2 and section 9.4).
"""

from __future__ import annotations

import itertools

import numpy as np
import torch

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
    out = np.zeros((len(a), 4, len(b), 4))
    fractional = (a[:, None] - b[None]) @ inverse
    fractional -= np.round(fractional)
    # Differences lie within half a cell; images farther than the support plus that never touch.
    half = (
        0.5 * np.linalg.norm(np.array([[1, 1, 1], [1, 1, -1], [1, -1, 1], [-1, 1, 1]]) @ cell, axis=1).max()
    )
    reach = np.ceil((support + half) * np.linalg.norm(inverse, axis=0)).astype(int)
    for image in itertools.product(*(range(-n, n + 1) for n in reach)):
        shift = np.asarray(image) @ cell
        # Rows one at a time: memory stays linear in the number of labels.
        for i in range(len(a)):
            d = fractional[i] @ cell + shift
            r = np.sqrt((d**2).sum(axis=1)) / support
            near = np.flatnonzero(r < 1.0)
            if len(near):
                out[i][:, near] += _block(d[near], r[near], support)
    return out.reshape(4 * len(a), 4 * len(b))


def _block(d: np.ndarray, r: np.ndarray, support: float) -> np.ndarray:
    """Covariances (4, n, 4) of one place with n others at differences `d` = place − other."""
    value, first, second = wendland(r)
    first = first / support**2
    second = second / support**4
    block = np.empty((4, len(d), 4))
    block[0, :, 0] = value
    block[0, :, 1:] = -first[:, None] * d
    block[1:, :, 0] = (first[:, None] * d).T
    outer = second[:, None, None] * d[:, :, None] * d[:, None, :] + first[:, None, None] * np.eye(3)
    block[1:, :, 1:] = -outer.transpose(1, 0, 2)
    return block
