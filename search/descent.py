"""Which two minima a saddle joins: steepest descent down both sides, on the surface or on the landscape."""

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
    """Ends (n, 2, 3), Å, unwrapped, of the descents from surface saddles (n, 3), Å.

    Also says which of them arrived (n, 2).
    """
    fractional = np.ascontiguousarray(saddles @ surface.inverse)
    ends = np.empty((len(saddles), 2, 3))
    status = np.zeros((len(saddles), 2), dtype=np.int64)
    _descent.descend_both_sides(
        surface.coefficients, surface.inverse, fractional, START, step, CAPTURE, ends, status
    )
    return ends @ surface.cell, status > 0


def one_side(surface: Surface, saddle: Floats, side: float, line: Floats, step: float = 0.04) -> Floats:
    """The way (m, 3), Å, down one side (+1, -1) of a surface saddle (3,), Å; `line` (l, 3) is scratch.

    Ends where the way does: at a minimum or after l steps.
    """
    _, _, hessian = surface.energies(saddle[None])
    mode = _oriented(np.linalg.eigh(hessian[0])[1][:, 0])
    s = np.ascontiguousarray((saddle + side * START * mode) @ surface.inverse)
    count = abs(_descent.descend(surface.coefficients, surface.inverse, s, step, CAPTURE, line))
    return np.asarray(np.concatenate([line[:count], s[None]]) @ surface.cell)


def on_landscape(
    evaluate: Evaluator, saddles: Floats, hessian: Floats, step: float = 0.04, limit: int = 400
) -> tuple[Floats, NDArray[np.bool_], list[list[Floats]]]:
    """As `both_sides`, for saddles (n, 3) of the landscape with Hessians (n, 3, 3): slow, needs no surface.

    The same second-order steps with Hessians by differences; seven evaluations a step. Also returns the lines
    gone: for every saddle two arrays (m, 3), Å, from the saddle to where the descent ended.
    """
    n = len(saddles)
    modes = np.array([_oriented(mode) for mode in np.linalg.eigh(hessian)[1][:, :, 0]]).reshape(-1, 3)
    x = np.concatenate([saddles + 0.01 * modes, saddles - 0.01 * modes])
    lines = [[saddles[row % n].copy(), x[row].copy()] for row in range(2 * n)]
    arrived = np.zeros(2 * n, dtype=bool)
    todo = np.arange(2 * n)
    for _ in range(limit):
        energy, gradient = evaluate(x[todo], stage="descend")
        todo, gradient = todo[np.isfinite(energy)], gradient[np.isfinite(energy)]
        if len(todo) == 0:
            break
        moves, home = _downhill(evaluate, x[todo], gradient, step)
        x[todo] += moves
        for row in todo:
            lines[row].append(x[row].copy())
        arrived[todo[home]] = True
        todo = todo[~home]
    paths = [[np.array(lines[row]), np.array(lines[row + n])] for row in range(n)]
    return x.reshape(2, n, 3).transpose(1, 0, 2), arrived.reshape(2, n).T, paths


def _downhill(
    evaluate: Evaluator, x: Floats, gradient: Floats, step: float
) -> tuple[Floats, NDArray[np.bool_]]:
    """One second-order step down from each point (n, 3), and which of them it brought to a minimum."""
    curvature = hessians(evaluate, x)
    moves, ended = np.zeros((len(x), 3)), np.zeros(len(x), dtype=bool)
    for row in range(len(x)):
        ended[row] = _descent.quadratic_step(gradient[row], curvature[row], step, moves[row])
    home = np.zeros(len(x), dtype=bool)
    close = np.flatnonzero(ended & (np.linalg.norm(moves, axis=1) < CAPTURE))
    if len(close):
        final = polish(evaluate, x[close], curvature[close], index=0)
        shift = final.positions - x[close]
        home[close] = final.good & (np.linalg.norm(shift, axis=1) < 2.0 * CAPTURE)
        # Elsewhere an inflection looks like a minimum to the local model: walk on along the force.
        moves[close] = np.where(home[close][:, None], shift, -0.5 * step * _unit(gradient[close]))
    return moves, home


def _oriented(mode: Floats) -> Floats:
    """The sign of an eigenvector is arbitrary: make its largest component positive."""
    return mode if mode[np.argmax(np.abs(mode).round(9))] > 0 else -mode


def image_of(points: Floats, sites: Floats, cell: Floats) -> Ints:
    """Images (n, 3) with point ≈ site + image @ cell, for unwrapped points and their sites (n, 3), Å."""
    _, image = shortest_vectors(points - sites, cell)
    return -image


def _unit(vectors: Floats) -> Floats:
    return np.asarray(vectors / np.maximum(np.linalg.norm(vectors, axis=1), 1e-300)[:, None])
