"""Which two minima a saddle joins: steepest descent down both sides, on the surface or on the landscape itself."""

import numpy as np
from numpy.typing import NDArray

from search import _descent
from search.critical import polish
from search.landscape import Evaluator
from search.lattice import Floats, Ints, shortest_vectors
from search.surface import Surface
from search.vibrations import hessians

START = 1e-3
CAPTURE = 0.02


def both_sides(surface: Surface, saddles: Floats, step: float = 0.04) -> tuple[Floats, NDArray[np.bool_]]:
    """Ends (n, 2, 3), Å, unwrapped, of the descents from surface saddles (n, 3), Å; and which arrived (n, 2)."""
    fractional = np.ascontiguousarray(saddles @ surface.inverse)
    ends = np.empty((len(saddles), 2, 3))
    status = np.zeros((len(saddles), 2), dtype=np.int64)
    _descent.descend_both_sides(
        surface.coefficients, surface.inverse, fractional, START, step, CAPTURE, ends, status
    )
    return ends @ surface.cell, status > 0


def on_landscape(
    evaluate: Evaluator, saddles: Floats, hessian: Floats, step: float = 0.04, limit: int = 400
) -> tuple[Floats, NDArray[np.bool_]]:
    """As `both_sides`, for saddles (n, 3) of the landscape with Hessians (n, 3, 3): slow, needs no surface.

    The same second-order steps with Hessians by differences; seven evaluations a step.
    """
    n = len(saddles)
    _, vectors = np.linalg.eigh(hessian)
    mode = vectors[:, :, 0]
    x = np.concatenate([saddles + 0.01 * mode, saddles - 0.01 * mode])
    arrived = np.zeros(2 * n, dtype=bool)
    todo = np.arange(2 * n)
    for _ in range(limit):
        energy, gradient = evaluate(x[todo], stage="descend")
        todo, gradient = todo[np.isfinite(energy)], gradient[np.isfinite(energy)]
        if len(todo) == 0:
            break
        curvature = hessians(evaluate, x[todo])
        moves = np.zeros((len(todo), 3))
        ended = np.array([_descent.quadratic_step(*row, step, out) for *row, out in zip(gradient, curvature, moves, strict=True)])
        close = np.flatnonzero(ended & (np.linalg.norm(moves, axis=1) < CAPTURE))
        if len(close):
            final = polish(evaluate, x[todo[close]], curvature[close], index=0)
            home = final.good & (np.linalg.norm(final.positions - x[todo[close]], axis=1) < 2.0 * CAPTURE)
            moves[close] = -0.5 * step * _unit(gradient[close])
            moves[close[home]] = (final.positions - x[todo[close]])[home]
            arrived[todo[close[home]]] = True
        x[todo] += moves
        todo = todo[~arrived[todo]]
    return x.reshape(2, n, 3).transpose(1, 0, 2), arrived.reshape(2, n).T


def image_of(points: Floats, sites: Floats, cell: Floats) -> Ints:
    """Images (n, 3) with point ≈ site + image @ cell, for unwrapped points (n, 3) and their sites (n, 3), Å."""
    _, image = shortest_vectors(points - sites, cell)
    return -image


def _unit(vectors: Floats) -> Floats:
    return np.asarray(vectors / np.maximum(np.linalg.norm(vectors, axis=1), 1e-300)[:, None])
