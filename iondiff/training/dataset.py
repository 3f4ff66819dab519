"""Structures with energies, forces and stress from files, and everything that can be wrong with them."""

from __future__ import annotations

import gzip
import io
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ase.db
import ase.io
import ase.units
import numpy as np
from ase import Atoms

from iondiff.errors import TrainingError
from iondiff.training.settings import VOIGT, DataSection

LENGTHS = {"angstrom": 1.0, "bohr": ase.units.Bohr}
ENERGIES = {"ev": 1.0, "hartree": ase.units.Hartree}


class TrainingWarning(UserWarning):
    """Something about the data or the training that a person should look at."""


@dataclass(frozen=True)
class Labelled:
    """A structure and what is known about it.

    Attributes
    ----------
    atoms
        Without calculator.
    energy
        eV; NaN where unknown.
    forces
        (n, 3), eV/Å; NaN where unknown.
    virial
        (6,), eV: stress times volume in ASE's order and sign; NaN where unknown.
    config_type
        Group of the error table.
    source
        File and number, for people.
    weight
        In the loss.
    atom_weights
        (n,), of each atom's force in the loss.
    """

    atoms: Atoms
    energy: float
    forces: np.ndarray
    virial: np.ndarray
    config_type: str
    source: str
    weight: float
    atom_weights: np.ndarray

    @property
    def targets(self) -> np.ndarray:
        """(3n + 7,): forces, energy, virial."""
        return np.concatenate([self.forces.ravel(), [self.energy], self.virial])


def read_structures(path: str | Path, section: DataSection) -> list[Labelled]:
    """All structures of one file.

    Raises
    ------
    TrainingError
        Missing, empty or unreadable.
    """
    path = Path(path)
    if not path.exists():
        raise TrainingError(f"data file {path} does not exist")
    frames: Any
    try:
        if path.name.endswith("input.data"):
            frames = _read_input_data(path, section.units)
        elif path.suffix in (".db", ".json"):
            with ase.db.connect(path) as database:
                frames = [_from_row(row) for row in database.select()]
        elif path.suffix == ".gz" and "xyz" in path.name:
            text = gzip.decompress(path.read_bytes()).decode()
            frames = ase.io.read(io.StringIO(text), ":", format="extxyz")
        else:
            frames = ase.io.read(path, ":", format="extxyz" if "xyz" in path.suffix else None)
    except TrainingError:
        raise
    # ASE's readers raise whatever a malformed line happens to trip over.
    except Exception as error:
        raise TrainingError(f"data file {path} cannot be read: {error!r}") from error
    if not frames:
        raise TrainingError(f"data file {path} holds no structures")
    return [label(atoms, section, f"{path.name}[{k}]") for k, atoms in enumerate(frames)]


def label(atoms: Atoms, section: DataSection, source: str) -> Labelled:
    """What an ASE structure says about itself.

    Raises
    ------
    TrainingError
        Arrays of the wrong shape, or numbers that are not finite.
    """
    results = atoms.calc.results if atoms.calc is not None else {}
    n = len(atoms)
    energy = float(atoms.info.get(section.energy_key, results.get(section.energy_key, np.nan)))
    forces = results.get(section.forces_key)
    forces = np.asarray(
        atoms.arrays.get(section.forces_key, forces if forces is not None else np.full((n, 3), np.nan))
    )
    stress = atoms.info.get(section.stress_key, results.get(section.stress_key))
    virial = np.full(6, np.nan)
    if stress is not None and atoms.cell.rank == 3:
        stress = np.asarray(stress, dtype=float)
        if stress.shape in ((9,), (3, 3)):
            stress = stress.reshape(3, 3)[[0, 1, 2, 1, 0, 0], [0, 1, 2, 2, 2, 1]]
        if stress.shape != (6,):
            raise TrainingError(f"{source}: stress has shape {stress.shape}; wanted 6 numbers or 3 x 3")
        virial = stress[[section.stress_order.index(name) for name in VOIGT]] * atoms.get_volume()
        virial[:3] += section.virial_offset * n
    if forces.shape != (n, 3):
        raise TrainingError(f"{source}: forces have shape {forces.shape}; wanted ({n}, 3)")
    config_type = str(atoms.info.get("config_type") or "all")
    weight = float(atoms.info.get("weight", 1.0)) * section.weights.get(config_type, 1.0)
    atom_weights = np.asarray(atoms.arrays.get("weight", np.ones(n)), dtype=float)
    infinite = [
        name
        for name, value in (("energy", energy), ("forces", forces), ("stress", virial))
        if np.isinf(value).any()
    ]
    virial[[VOIGT.index(name) for name in section.unused_stresses.get(config_type, ())]] = np.nan
    partial = np.isnan(forces).any() and not np.isnan(forces).all()
    if (
        infinite
        or partial
        or not np.isfinite(atoms.positions).all()
        or not np.isfinite(atoms.cell.array).all()
    ):
        what = infinite[0] if infinite else "forces" if partial else "positions or cell"
        raise TrainingError(
            f"{source}: {what} hold numbers that are not finite; redo or remove the structure"
        )
    if n == 0:
        raise TrainingError(f"{source} has no atoms; remove it")
    if not (weight > 0 and np.isfinite(weight) and (atom_weights >= 0).all()):
        raise TrainingError(f"{source}: weights must be positive and finite")
    bare = Atoms(atoms.numbers, positions=atoms.positions, cell=atoms.cell, pbc=atoms.pbc)
    return Labelled(bare, energy, forces.astype(float), virial, config_type, source, weight, atom_weights)


def _from_row(row: ase.db.row.AtomsRow) -> Atoms:
    atoms = row.toatoms()
    atoms.info.update(row.key_value_pairs)
    return atoms


def _read_input_data(path: Path, units: tuple[str, str]) -> list[Atoms]:
    """n2p2's and RuNNer's training data."""
    try:
        length, energy = LENGTHS[units[0].lower()], ENERGIES[units[1].lower()]
    except KeyError:
        raise TrainingError(
            f"units are {list(units)}; wanted a length of {', '.join(LENGTHS)} and an energy of {', '.join(ENERGIES)}"
        ) from None
    from ase.calculators.singlepoint import SinglePointCalculator

    frames: list[Atoms] = []
    lattice: list[list[float]] = []
    rows: list[list[str]] = []
    total = np.nan
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        words = line.split()
        try:
            if not words or words[0] in ("comment", "charge"):
                continue
            if words[0] == "begin":
                lattice, rows, total = [], [], np.nan
            elif words[0] == "lattice":
                lattice.append([float(x) for x in words[1:4]])
            elif words[0] == "atom":
                rows.append(words)
                [float(x) for x in (*words[1:4], *words[7:10])]
            elif words[0] == "energy":
                total = float(words[1]) * energy
            elif words[0] == "end":
                atoms = Atoms(
                    [r[4] for r in rows], positions=[[float(x) * length for x in r[1:4]] for r in rows],
                    cell=np.array(lattice) * length if lattice else None, pbc=len(lattice) == 3,
                )  # fmt: skip
                forces = np.array([[float(x) for x in r[7:10]] for r in rows]) * energy / length
                atoms.calc = SinglePointCalculator(atoms, energy=total, forces=forces)
                frames.append(atoms)
        except (ValueError, IndexError, KeyError) as error:
            raise TrainingError(
                f"{path}, line {number}: {line.strip()!r} is not understood ({error})"
            ) from error
    return frames


def split(structures: Sequence[Labelled], fraction: float, seed: int) -> tuple[list[int], list[int]]:
    """Indices that stay and that are drawn out: from every config_type its share, at least one of ten.

    Identical structures stay together.
    """
    generator = np.random.default_rng(seed)
    drawn: list[int] = []
    for kind in sorted({s.config_type for s in structures}):
        members = [k for k, s in enumerate(structures) if s.config_type == kind]
        generator.shuffle(members)
        count = round(fraction * len(members))
        drawn += members[:count]
    chosen = set(drawn)
    keys = {fingerprint(structures[k].atoms) for k in chosen}
    chosen |= {k for k, s in enumerate(structures) if fingerprint(s.atoms) in keys}
    return [k for k in range(len(structures)) if k not in chosen], sorted(chosen)


def folds(structures: Sequence[Labelled], count: int, seed: int) -> list[list[int]]:
    """Indices in `count` parts of about the same size, every config_type spread over all of them.

    Identical structures stay together.
    """
    generator = np.random.default_rng(seed)
    order: list[int] = []
    for kind in sorted({s.config_type for s in structures}):
        members = [k for k, s in enumerate(structures) if s.config_type == kind]
        generator.shuffle(members)
        order += members
    parts: list[list[int]] = [[] for _ in range(count)]
    place: dict[bytes, int] = {}
    for k in order:
        key = fingerprint(structures[k].atoms)
        parts[place.setdefault(key, len(place) % count)].append(k)
    return [sorted(part) for part in parts]


def fingerprint(atoms: Atoms) -> bytes:
    """The same for structures that agree to 1e-4 Å."""
    cell = np.round(atoms.cell.array, 4) + 0.0
    return b"".join([atoms.numbers.tobytes(), cell.tobytes(), (np.round(atoms.positions, 4) + 0.0).tobytes()])


def fit_reference_energies(
    structures: Sequence[Labelled], species: Sequence[str], given: dict[str, float]
) -> np.ndarray:
    """(n_species,) eV an atom: least squares of the energies by composition, what is given held fixed."""
    known = [s for s in structures if np.isfinite(s.energy)]
    counts = np.array(
        [[s.atoms.get_chemical_symbols().count(e) for e in species] for s in known], dtype=float
    )
    counts = counts.reshape(-1, len(species))
    energies = np.array([s.energy for s in known])
    size = np.maximum(counts.sum(axis=1), 1)
    free = [k for k, e in enumerate(species) if e not in given]
    reference = np.array([given.get(e, 0.0) for e in species])
    if free and known:
        rest = (energies - counts @ reference) / size
        reference[free] = np.linalg.lstsq(counts[:, free] / size[:, None], rest, rcond=None)[0]
    return reference


def warn(messages: Sequence[str]) -> None:
    """Python warnings of the messages."""
    for message in messages:
        warnings.warn(message, TrainingWarning, stacklevel=3)
