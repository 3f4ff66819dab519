"""The functions a training uses: those that vary over its atoms, and of these the ones the selection keeps."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from ase import Atoms

from iondiff.descriptors import SymmetryFunction
from iondiff.descriptors.derivatives import Described, FlatFunctions, describe
from iondiff.descriptors.selection import NEEDS_MODEL, LinearModel, by_structure, groups_of, select
from iondiff.errors import TrainingError
from iondiff.training.problem import Importance, Layout, Problem
from iondiff.training.settings import SelectionSection

_FLAT = 1e-10  # relative spread below which a function says nothing


def values_of(described: Sequence[Described], which: Sequence[int], code: int, size: int) -> np.ndarray:
    """(atoms, size) functions of all atoms of one element."""
    parts = [described[k].values[described[k].species == code, :size] for k in which]
    return np.concatenate(parts)


def choose_functions(
    functions: dict[str, tuple[SymmetryFunction, ...]],
    structures: Sequence[Atoms],
    targets: Sequence[np.ndarray],
    train: Sequence[int],
    section: SelectionSection,
    *,
    alpha: float,
    memory_budget: float,
    seed: int,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[FlatFunctions, list[Described]]:
    """Describe all structures with the functions that are worth it.

    Parameters
    ----------
    targets
        (3n + 7,) a structure, without reference energies; for methods that fit.
    train
        Structures that decide.

    Raises
    ------
    TrainingError
        An element without any function that varies.
    """
    if section.method == "structure":
        _known_names(functions, section.keep)
        functions = {
            symbol: tuple(
                own[k] for k in by_structure(own, [n for n in section.keep if n.startswith(f"{symbol}-")])
            )
            for symbol, own in functions.items()
        }
        empty = [symbol for symbol, own in functions.items() if not own]
        if empty:
            raise TrainingError(f"[descriptors.selection] keep names no functions of {', '.join(empty)}")
    flat = FlatFunctions(functions)
    described = describe(structures, flat, memory_budget, progress=progress)
    kept = {}
    for code, symbol in enumerate(flat.species):
        values = values_of(described, train, code, int(flat.sizes[code]))
        alive = np.flatnonzero(values.std(axis=0) > _FLAT * np.abs(values).max(axis=0))
        if not len(alive):
            raise TrainingError(
                f"no symmetry function of {symbol} varies over its {len(values)} atoms: they all look alike, or the "
                "cutoffs are too short"
            )
        kept[symbol] = alive
    if any(len(kept[s]) < len(functions[s]) for s in kept):
        functions = {s: tuple(functions[s][k] for k in kept[s]) for s in kept}
        flat = FlatFunctions(functions)
        described = describe(structures, flat, memory_budget, progress=progress)
    if section.method in ("none", "structure"):
        return flat, described
    models = {}
    if section.method in NEEDS_MODEL:
        models = linear_models(flat, described, targets, train, alpha)
    chosen = {}
    for code, symbol in enumerate(flat.species):
        picked = select(
            section.method, section.count, values_of(described, train, code, int(flat.sizes[code])),
            model=models.get(symbol), groups=groups_of(functions[symbol]), seed=seed,
        )  # fmt: skip
        chosen[symbol] = tuple(functions[symbol][k] for k in picked)
    flat = FlatFunctions(chosen)
    return flat, describe(structures, flat, memory_budget, progress=progress)


def _known_names(functions: dict[str, tuple[SymmetryFunction, ...]], keep: Sequence[str]) -> None:
    if not keep:
        raise TrainingError(
            '[descriptors.selection] method = "structure" wants the element combinations to keep, centre first: '
            'keep = ["Li-O", "P-OO"]'
        )
    strangers = [name for name in keep if name.split("-")[0] not in functions]
    if strangers:
        raise TrainingError(
            f"[descriptors.selection] keep names {', '.join(strangers)}; the data's elements are {', '.join(functions)}"
        )


def linear_models(
    flat: FlatFunctions,
    described: Sequence[Described],
    targets: Sequence[np.ndarray],
    train: Sequence[int],
    alpha: float,
) -> dict[str, LinearModel]:
    """For each element, energies and forces as linear in its functions, given all those of the others.

    A network without hidden layers is that model, and its Jacobian the design matrix.
    """
    n = len(flat.species)
    layout = Layout(np.array([[size, 1] for size in flat.sizes]), ())
    widest = int(flat.sizes.max())
    shift, factor = np.zeros((n, widest)), np.zeros((n, widest))
    for code in range(n):
        values = values_of(described, train, code, int(flat.sizes[code]))
        shift[code, : flat.sizes[code]] = values.mean(axis=0)
        factor[code, : flat.sizes[code]] = 1.0 / values.std(axis=0)
    problem = Problem(described, flat, shift, factor, layout, targets, 1.0)
    ones = [np.ones(len(d.species)) for d in described]
    importance = Importance(problem, train, alpha, 0.0, np.ones(len(described)), ones)
    zero = np.zeros(layout.size)
    matrix, vector, square = np.zeros((layout.size, layout.size)), np.zeros(layout.size), 0.0
    for k in train:
        rows = problem.jacobian(zero, k) * importance.rows[k][:, None]
        wanted = problem.targets[k] * importance.rows[k]
        matrix += rows.T @ rows
        vector += rows.T @ wanted
        square += float(wanted @ wanted)
    models = {}
    for code, symbol in enumerate(flat.species):
        mine = np.arange(flat.sizes[code]) + layout.starts[code]
        rest = np.setdiff1d(np.arange(layout.size), mine)
        other = matrix[np.ix_(rest, rest)]
        other = other + 1e-10 * max(float(np.trace(other)), 1e-300) * np.eye(len(rest))
        solved = np.linalg.solve(other, np.column_stack([matrix[np.ix_(rest, mine)], vector[rest]]))
        models[symbol] = LinearModel(
            matrix[np.ix_(mine, mine)] - matrix[np.ix_(mine, rest)] @ solved[:, :-1],
            vector[mine] - matrix[np.ix_(mine, rest)] @ solved[:, -1],
            square - float(vector[rest] @ solved[:, -1]),
        )
    return models
