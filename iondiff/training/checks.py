"""What can be wrong with data, before anything is learnt from them: what is refused, and what is said."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import ase.units
import numpy as np

from iondiff.errors import TrainingError
from iondiff.neighbours import neighbour_table
from iondiff.training.dataset import Labelled, fingerprint

_FEWEST_ATOMS = 10  # environments of an element; fewer cannot teach its network anything
_OUTLIER_EV = (
    1.0  # an atom; further from all others of a composition than this and ten times their spread is named
)
_UNITS = {
    "Hartree": ase.units.Hartree,
    "kcal/mol": ase.units.kcal / ase.units.mol,
    "Rydberg": ase.units.Rydberg,
}
_REACH = 6.5  # Å, within which nearest neighbours are looked for
_SAME_PLACE = 1e-3  # Å


def check(structures: Sequence[Labelled], *, energies: bool, forces: bool, missing: str) -> list[str]:
    """Refuse data that cannot be learnt from; what a person should look at is returned as sentences.

    Raises
    ------
    TrainingError
        Missing labels (which structures), identical structures with different labels, an element with too
        few atoms, energies in several units, two atoms in one place.
    """
    if not structures:
        raise TrainingError("there are no structures to train on; name files in [data] train")
    check_labels(structures, energies=energies, forces=forces, missing=missing)
    atoms = Counter(symbol for s in structures for symbol in s.atoms.get_chemical_symbols())
    for symbol, count in sorted(atoms.items()):
        if count < _FEWEST_ATOMS:
            where = [s.source for s in structures if symbol in s.atoms.get_chemical_symbols()]
            raise TrainingError(
                f"{symbol} occurs {count} times in all, in {listed(where)}; wanted at least {_FEWEST_ATOMS} atoms "
                "to train its network: add structures or leave these out"
            )
    _one_unit(structures)
    return [*_duplicates(structures), *_distances(structures), *_energies(structures)]


def check_labels(structures: Sequence[Labelled], *, energies: bool, forces: bool, missing: str) -> None:
    """Refuse structures without the labels that the loss asks for.

    Raises
    ------
    TrainingError
        Naming them.
    """
    if missing == "refuse":
        for wanted, name, known in (
            (energies, "energy", [np.isfinite(s.energy) for s in structures]),
            (forces, "forces", [np.isfinite(s.forces).all() for s in structures]),
        ):
            without = [s.source for s, k in zip(structures, known, strict=True) if not k]
            if wanted and without:
                raise TrainingError(
                    f"{listed(without)} have no {name}; add them, leave the structures out, set missing = "
                    '"allow" in [data] to use what there is, or set [loss] force_weight to 0 (energies alone) '
                    "or 1 (forces alone)"
                )
    elif not any(np.isfinite(s.targets[:-6]).any() for s in structures):
        raise TrainingError("no structure has an energy or forces; nothing can be learnt")


def _duplicates(structures: Sequence[Labelled]) -> list[str]:
    seen: dict[bytes, Labelled] = {}
    same = []
    for s in structures:
        first = seen.setdefault(fingerprint(s.atoms), s)
        if first is s:
            continue
        if abs(first.energy - s.energy) > 1e-3 * len(s.atoms):
            raise TrainingError(
                f"{first.source} and {s.source} are the same structure with energies {first.energy:.6f} and "
                f"{s.energy:.6f} eV; keep the right one"
            )
        same.append(f"{s.source} (as {first.source})")
    if same:
        return [f"{len(same)} structures occur twice and count twice: {listed(same)}"]
    return []


def _compositions(
    structures: Sequence[Labelled],
) -> tuple[list[Labelled], np.ndarray, np.ndarray, np.ndarray]:
    """Structures with an energy; eV an atom; share of each element, (n, n_elements); atoms in each."""
    known = [s for s in structures if np.isfinite(s.energy)]
    species = sorted({symbol for s in known for symbol in s.atoms.get_chemical_symbols()})
    size = np.array([len(s.atoms) for s in known])
    counts = np.array(
        [[s.atoms.get_chemical_symbols().count(e) for e in species] for s in known], dtype=float
    )
    return (
        known,
        np.array([s.energy for s in known]) / size,
        counts.reshape(len(known), -1) / size[:, None],
        size,
    )


def _one_unit(structures: Sequence[Labelled]) -> None:
    """Refuse energies of which a part becomes like the others when multiplied by the ratio of two units."""
    known, energies, shares, _ = _compositions(structures)
    if len(known) < 4 or not np.all(energies):
        return
    # The widest gap in the logarithm separates the two heaps, if there are two.
    order = np.argsort(np.abs(energies))
    gaps = np.diff(np.log(np.abs(energies[order])))
    at = int(np.argmax(gaps))
    large = np.zeros(len(known), bool)
    large[order[at + 1 :]] = True

    def scatter(values: np.ndarray) -> float:
        return float(np.abs(_least_absolute(shares, values)).mean() / np.median(np.abs(values)))

    before = scatter(energies)
    for name, factor in _UNITS.items():
        if gaps[at] < 0.5 * abs(np.log(factor)):
            continue
        foreign = ~large if factor > 1 else large
        if scatter(np.where(foreign, energies * factor, energies)) < 0.1 * before:
            names = [s.source for s, k in zip(known, foreign, strict=True) if k]
            raise TrainingError(
                f"energies of {listed(names)} look as if they were in {name} while the others are not: "
                f"{energies[foreign][0]:.4g} an atom where {energies[~foreign][0]:.4g} is usual; bring all files to eV "
                "and Å"
            )


def _least_absolute(columns: np.ndarray, wanted: np.ndarray, rounds: int = 30) -> np.ndarray:
    """What the linear fit of least absolute deviations misses: one slip does not drag it along."""
    weight = np.ones(len(wanted))
    for _ in range(rounds):
        fit = np.linalg.lstsq(columns * weight[:, None], wanted * weight, rcond=None)[0]
        miss = wanted - columns @ fit
        weight = 1.0 / np.sqrt(np.abs(miss) + 1e-3)
    return miss


def _energies(structures: Sequence[Labelled]) -> list[str]:
    """Energies far from all others for their composition: named, never dropped."""
    known, energies, shares, size = _compositions(structures)
    if len(known) < 4:
        return []
    miss = _least_absolute(shares, energies)
    away = np.abs(miss - np.median(miss))
    return [
        _far(known[k].source, miss[k], size[k], "its composition has elsewhere")
        for k in np.flatnonzero(away > max(_OUTLIER_EV, 10.0 * float(np.median(away))))
    ]


def _far(source: str, miss: float, size: int, usual: str) -> str:
    return (
        f"the energy of {source} is {miss * size:+.1f} eV ({miss:+.2f} eV an atom) away from what {usual}; it is used "
        "as it is: look at it"
    )


def energies_of_structures(
    structures: Sequence[Labelled], features: np.ndarray, largest: int = 30, usual: float = 20.0
) -> list[str]:
    """Energies far from a linear model in what the atoms see: a slip that composition alone does not show.

    Parameters
    ----------
    features
        (n, m): mean symmetry functions of the atoms of each structure, and its composition.
    largest
        Principal components used, but never more than a quarter of the number of structures.
    usual
        Deviations below this many times the median are not named.
    """
    known = np.array([np.isfinite(s.energy) for s in structures])
    count = min(largest, int(known.sum()) // 4)
    if count < 2:
        return []
    chosen = [s for s, k in zip(structures, known, strict=True) if k]
    size = np.array([len(s.atoms) for s in chosen])
    x = features[known]
    spread = x.std(axis=0)
    x = (x - x.mean(axis=0)) / np.where(spread > 1e-12, spread, np.inf)
    left, sizes, _ = np.linalg.svd(x, full_matrices=False)
    columns = np.column_stack([np.ones(len(x)), (left * sizes)[:, :count]])
    miss = _least_absolute(columns, np.array([s.energy for s in chosen]) / size)
    limit = max(usual * float(np.median(np.abs(miss))), 0.15)
    return [
        _far(chosen[k].source, miss[k], size[k], "structures like it have")
        for k in np.flatnonzero(np.abs(miss) > limit)
    ]


def _distances(structures: Sequence[Labelled]) -> list[str]:
    """Structures that are much wider or narrower than the others: lengths in another unit.

    Raises
    ------
    TrainingError
        Two atoms in one place.
    """
    nearest = np.array([_nearest(s) for s in structures])
    known = np.isfinite(nearest)
    if known.sum() < 4:
        return []
    usual = float(np.median(nearest[known]))
    odd = [
        f"{s.source} ({d:.2f} Å)"
        for s, d in zip(structures, nearest, strict=True)
        if np.isfinite(d) and abs(np.log(d / usual)) > np.log(1.7)
    ]
    if odd and len(odd) < 0.5 * known.sum():
        return [
            f"nearest neighbours are {usual:.2f} Å apart in most structures, but far from that in {listed(odd)}; look "
            "whether lengths are in Å"
        ]
    return []


def _nearest(s: Labelled) -> float:
    """Median distance (Å) of the atoms to their nearest neighbours; NaN where none is near."""
    atoms = s.atoms
    cell = np.ascontiguousarray(atoms.cell.array, dtype=float)
    positions = np.ascontiguousarray(atoms.positions, dtype=float)
    first, index, image = neighbour_table(positions, cell, np.ascontiguousarray(atoms.pbc), _REACH)
    if not len(index):
        return np.nan
    centre = np.repeat(np.arange(len(atoms)), np.diff(first))
    distance = np.linalg.norm(positions[index] + image @ cell - positions[centre], axis=1)
    if distance.min() < _SAME_PLACE:
        k = int(np.argmin(distance))
        raise TrainingError(
            f"{s.source}: atoms {min(centre[k], index[k])} and {max(centre[k], index[k])} are in one place; redo or "
            "remove the structure"
        )
    return float(np.median(np.minimum.reduceat(distance, first[:-1][np.diff(first) > 0])))


def inside(test: Sequence[Labelled], train: Sequence[Labelled]) -> list[str]:
    """Sources of test structures that are training structures too."""
    known = {fingerprint(s.atoms) for s in train}
    return [s.source for s in test if fingerprint(s.atoms) in known]


def listed(names: Sequence[str], most: int = 8) -> str:
    """The first names, and how many more there are."""
    shown = ", ".join(names[:most])
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"
