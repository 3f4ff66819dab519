"""Which two minima a saddle joins: steepest descent down both sides, on the surface or on the landscape itself."""

import numpy as np

from search import _descent
from search.critical import polish
from search.landscape import Evaluator
from search.lattice import Floats, Ints, shortest_vectors
from search.surface import Surface
from search.vibrations import hessians

START = 1e-3
CAPTURE = 0.02


def both_sides(surface: Surface, saddles: Floats, step: float = 0.04) -> tuple[Floats, np.ndarray]:
    """Ends (n, 2, 3), Å, unwrapped, of the descents from surface saddles (n, 3), Å; and which arrived (n, 2)."""
    fractional = np.ascontiguousarray(saddles @ surface.inverse)
    ends = np.empty((len(saddles), 2, 3))
    status = np.zeros((len(saddles), 2), dtype=np.int64)
    _descent.descend_both_sides(
        surface.coefficients, surface.inverse, fractional, START, step, CAPTURE, ends, status
    )
    return ends @ surface.cell, status > 0


def on_landscape(
    evaluate: Evaluator, saddle: Floats, hessian: Floats, step: float = 0.02, limit: int = 600
) -> tuple[Floats, np.ndarray]:
    """As `both_sides`, for saddles (n, 3) of the landscape with Hessians (n, 3, 3): slow and without a surface.

    Second-order steps along the gradient with the length bounded, then Newton once the force is small.
    """
    n = len(saddle)
    _, vectors = np.linalg.eigh(hessian)
    mode = vectors[:, :, 0]
    x = np.concatenate([saddle + 0.01 * mode, saddle - 0.01 * mode])
    length = np.full(2 * n, step)
    last = np.zeros_like(x)
    _, gradient = evaluate(x, stage="descend")
    todo = np.arange(2 * n)
    for _ in range(limit):
        direction = _unit(gradient[todo])
        half = x[todo] - 0.5 * length[todo, None] * direction
        _, middle = evaluate(half, stage="descend")
        direction = _unit(middle)
        # A reversal means that the step overshoots the valley floor: shorten it.
        turned = np.einsum("ij,ij->i", direction, last[todo]) < 0.0
        length[todo] = np.where(turned, 0.5 * length[todo], np.minimum(1.1 * length[todo], step))
        last[todo] = direction
        x[todo] -= length[todo, None] * direction
        _, gradient[todo] = evaluate(x[todo], stage="descend")
        todo = todo[length[todo] > 1e-3]
        if len(todo) == 0:
            break
    polished = polish(evaluate, x, hessians(evaluate, x), index=0)
    near = np.linalg.norm(polished.positions - x, axis=1) < 0.2
    arrived = polished.good & near
    return polished.positions.reshape(2, n, 3).transpose(1, 0, 2), arrived.reshape(2, n).T


def image_of(points: Floats, sites: Floats, cell: Floats) -> Ints:
    """Images (n, 3) with point ≈ site + image @ cell, for unwrapped points (n, 3) and their sites (n, 3), Å."""
    _, image = shortest_vectors(points - sites, cell)
    return -image


def _unit(vectors: Floats) -> Floats:
    return np.asarray(vectors / np.maximum(np.linalg.norm(vectors, axis=1), 1e-300)[:, None])
