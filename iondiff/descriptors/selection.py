"""Choose few symmetry functions out of many.

What a method needs is one of two things. From the functions' values on the atoms, (n_atoms, n_functions), and
nothing else: CUR, farthest points, Pearson correlation, principal components. From a linear model of energies
and forces in all functions, as its normal equations: LASSO, group LASSO and the genetic algorithm.

Sources: Imbalzano et al., J. Chem. Phys. 148, 241730 (2018) (CUR, farthest points, correlation); Tibshirani,
J. R. Statist. Soc. B 58, 267 (1996); Yuan and Lin, J. R. Statist. Soc. B 68, 49 (2006) (groups).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from iondiff.descriptors.definitions import SymmetryFunction
from iondiff.errors import PotentialError

METHODS = ("random", "pca", "cur", "farthest", "pearson", "lasso", "group-lasso", "genetic", "structure")
NEEDS_MODEL = ("lasso", "group-lasso", "genetic")


@dataclass(frozen=True)
class LinearModel:
    """Normal equations of Σ (X c − y)², one column of X a function, columns scaled alike.

    Attributes
    ----------
    matrix
        (m, m), XᵀX.
    vector
        (m,), Xᵀy.
    square
        Σ y².
    """

    matrix: np.ndarray
    vector: np.ndarray
    square: float

    def error(self, chosen: Sequence[int] | np.ndarray) -> float:
        """Sum of squares left by the best linear model in these functions."""
        chosen = np.asarray(chosen)
        a = self.matrix[chosen][:, chosen]
        a = a + 1e-9 * np.trace(a) / max(len(a), 1) * np.eye(len(a))
        b = self.vector[chosen]
        return float(self.square - b @ np.linalg.solve(a, b))


def select(
    method: str,
    count: int,
    values: np.ndarray,
    *,
    model: LinearModel | None = None,
    groups: Sequence[int] | None = None,
    seed: int = 0,
) -> np.ndarray:
    """Indices of `count` functions, ascending.

    Parameters
    ----------
    method
        One of :data:`METHODS` but "structure" (see :func:`by_structure`).
    count
        How many; all are kept where there are no more.
    values
        (n_atoms, n_functions), unscaled.
    model
        For :data:`NEEDS_MODEL`.
    groups
        (n_functions,) number of each function's group, for "group-lasso"; groups enter whole, so up to a group's
        size fewer may come back.
    seed
        For "random" and "genetic".

    Raises
    ------
    PotentialError
        An unknown method, a count below 1, a missing model.
    """
    m = values.shape[1]
    if method not in METHODS or method == "structure":
        raise PotentialError(f"selection method is {method!r}; wanted one of {', '.join(METHODS[:-1])}")
    if count < 1:
        raise PotentialError(f"count is {count}; wanted at least one function")
    if method in NEEDS_MODEL and model is None:
        raise PotentialError(f"selection by {method} wants a linear model of the energies and forces")
    if count >= m:
        return np.arange(m)
    scaled = whitened_columns(values)
    if method == "random":
        chosen = np.random.default_rng(seed).permutation(m)[:count].tolist()
    elif model is None or method not in NEEDS_MODEL:
        unfitted = {"pca": _principal, "cur": _cur, "farthest": _farthest, "pearson": _uncorrelated}
        chosen = unfitted[method](scaled, count)
    elif method == "genetic":
        chosen = _genetic(model, count, np.random.default_rng(seed))
    else:
        single = method == "lasso" or groups is None
        chosen = _lasso(model, count, np.arange(m) if single else np.asarray(groups))
    return np.sort(np.asarray(chosen, dtype=np.int64))


def whitened_columns(values: np.ndarray) -> np.ndarray:
    """Columns of mean 0 and deviation 1; what never varies becomes 0."""
    spread = values.std(axis=0)
    return (values - values.mean(axis=0)) / np.where(spread > 0, spread, np.inf)


def principal_components(values: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Whitening: mean (m,) and matrix (m, count) such that (G − mean) @ matrix has unit covariance.

    The components are linear combinations of all functions, so they make a network smaller, not the
    calculation of the functions; "pca" of :func:`select` keeps the function that loads most on each.
    """
    mean, spread = values.mean(axis=0), values.std(axis=0)
    inverse = 1.0 / np.where(spread > 0, spread, np.inf)
    _, sizes, rows = np.linalg.svd((values - mean) * inverse, full_matrices=False)
    sizes = sizes[:count] / np.sqrt(len(values))
    return mean, inverse[:, None] * rows[:count].T / np.maximum(sizes, 1e-12 * sizes[0])


def by_structure(functions: Sequence[SymmetryFunction], keep: Sequence[str]) -> list[int]:
    """Indices of functions whose elements are named: "Li-O" (radial) or "P-OO" (angular), centre first.

    Raises
    ------
    PotentialError
        A name that no function has.
    """
    names = [f"{f.centre}-{''.join(f.neighbours)}" for f in functions]
    also = [f"{f.centre}-{''.join(f.neighbours[::-1])}" for f in functions]
    unknown = [name for name in keep if name not in names and name not in also]
    if unknown:
        raise PotentialError(
            f"no symmetry function is of {', '.join(unknown)}; the set has {', '.join(dict.fromkeys(names))}"
        )
    return [k for k, (a, b) in enumerate(zip(names, also, strict=True)) if a in keep or b in keep]


def groups_of(functions: Sequence[SymmetryFunction]) -> list[int]:
    """Number of each function's group: those that differ in λ and elements alone are of one."""
    keys: dict[tuple[object, ...], int] = {}
    return [
        keys.setdefault((f.kind, f.cutoff, f.eta, f.shift, f.zeta, f.r_low, f.angle_left), len(keys))
        for f in functions
    ]


def _principal(scaled: np.ndarray, count: int) -> list[int]:
    rows = np.linalg.svd(scaled, full_matrices=False)[2]
    chosen: list[int] = []
    for row in rows:
        if len(chosen) == count:
            break
        order = np.argsort(-np.abs(row))
        chosen.append(int(next(k for k in order if k not in chosen)))
    rest = [k for k in range(scaled.shape[1]) if k not in chosen]
    return (chosen + rest)[:count]


def _cur(scaled: np.ndarray, count: int) -> list[int]:
    """The column of largest leverage, then the same of what is orthogonal to it."""
    rest = scaled.copy()
    chosen: list[int] = []
    for _ in range(count):
        leading = np.linalg.eigh(rest.T @ rest)[1][:, -1]
        leverage = leading**2
        leverage[chosen] = -1.0
        best = int(np.argmax(leverage))
        chosen.append(best)
        column = rest[:, best] / max(float(np.linalg.norm(rest[:, best])), 1e-300)
        rest = rest - np.outer(column, column @ rest)
    return chosen


def _farthest(scaled: np.ndarray, count: int) -> list[int]:
    """Columns far from each other, the longest first."""
    gram = scaled.T @ scaled
    square = gram.diagonal()
    chosen = [int(np.argmax(square))]
    nearest = np.full(len(gram), np.inf)
    while len(chosen) < count:
        last = chosen[-1]
        # A function and its negative say the same.
        distance = square + square[last] - 2.0 * np.abs(gram[last])
        nearest = np.minimum(nearest, distance)
        nearest[chosen] = -1.0
        chosen.append(int(np.argmax(nearest)))
    return chosen


def _uncorrelated(scaled: np.ndarray, count: int) -> list[int]:
    """Of the most correlated pair, leave out the one that is more correlated with all others; repeat."""
    n = max(len(scaled), 1)
    correlation = np.abs(scaled.T @ scaled / n)
    np.fill_diagonal(correlation, 0.0)
    left = list(range(len(correlation)))
    while len(left) > count:
        part = correlation[np.ix_(left, left)]
        a, b = np.unravel_index(int(np.argmax(part)), part.shape)
        del left[int(a) if part[a].sum() > part[b].sum() else int(b)]
    return left


def _lasso(model: LinearModel, count: int, groups: np.ndarray) -> list[int]:
    """Along the path of falling penalty, the last set of at most `count` functions, by block descent.

    Groups of one make it the LASSO.
    """
    scale = np.sqrt(np.maximum(model.matrix.diagonal(), 1e-300))
    a, b = model.matrix / np.outer(scale, scale), model.vector / scale
    members = [np.flatnonzero(groups == g) for g in np.unique(groups)]
    strength = [np.linalg.norm(b[g]) / np.sqrt(len(g)) for g in members]
    # The largest eigenvalue of a group's block bounds its curvature.
    bound = [float(np.linalg.eigvalsh(a[np.ix_(g, g)])[-1]) for g in members]
    c = np.zeros(len(b))
    best: list[int] = []
    for penalty in max(strength) * 0.9 ** np.arange(1, 200):
        for _ in range(100):
            before = c.copy()
            for g, top in zip(members, bound, strict=True):
                step = c[g] + (b[g] - a[g] @ c) / top
                length = float(np.linalg.norm(step))
                shrink = penalty * np.sqrt(len(g)) / top
                c[g] = step * max(0.0, 1.0 - shrink / max(length, 1e-300))
            if np.abs(c - before).max() <= 1e-5 * max(np.abs(c).max(), 1e-300):
                break
        alive = np.flatnonzero(c)
        if len(alive) > count:
            break
        best = alive.tolist()
        if len(alive) == count:
            break
    if len(members) == len(b):  # single functions: fill up by what still helps most
        best = _fill(best, count, np.abs(b - a @ c))
    return best or members[int(np.argmax(strength))].tolist()


def _fill(chosen: list[int], count: int, score: np.ndarray) -> list[int]:
    order = [int(k) for k in np.argsort(-score) if k not in set(chosen)]
    return (chosen + order)[:count]


def _genetic(
    model: LinearModel,
    count: int,
    generator: np.random.Generator,
    population: int = 40,
    generations: int = 60,
) -> list[int]:
    """Sets of functions that leave the smallest error in the linear model; parents' common functions are kept."""
    m = len(model.vector)
    herd = [np.sort(generator.permutation(m)[:count]) for _ in range(population)]
    errors = np.array([model.error(one) for one in herd])
    for _ in range(generations):
        order = np.argsort(errors)
        herd, errors = [herd[k] for k in order[: population // 2]], errors[order[: population // 2]]
        children = []
        for _ in range(population - len(herd)):
            first, second = (herd[k] for k in generator.integers(0, len(herd), 2))
            common = np.intersect1d(first, second)
            either = np.setdiff1d(np.union1d(first, second), common)
            child = np.concatenate([common, generator.permutation(either)[: count - len(common)]])
            if generator.random() < 0.7:
                child[generator.integers(0, count)] = generator.choice(np.setdiff1d(np.arange(m), child))
            children.append(np.sort(child))
        herd += children
        errors = np.concatenate([errors, [model.error(child) for child in children]])
    return herd[int(np.argmin(errors))].tolist()
