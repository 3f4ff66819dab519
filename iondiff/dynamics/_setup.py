"""From what a user hands over to arrays, with every mistake named before the first step."""

from __future__ import annotations

import hashlib
import math
from typing import Any

import numpy as np
from ase import Atoms, units
from ase.constraints import FixAtoms

from iondiff.dynamics._integrators import CHAIN, KINETIC, Rules, State, kinetic_energy, remove_drift
from iondiff.dynamics._random import normal, random_state
from iondiff.dynamics.ensembles import Ensemble
from iondiff.dynamics.schedules import Ramp
from iondiff.errors import DynamicsError, HostError
from iondiff.neighbours import neighbour_table

CLOSEST = 0.5  # Å; nearer than this, two atoms are a mistake and not a molecule


def check_structure(atoms: Atoms, open_boundaries: bool, moves_cell: bool) -> None:
    """Refuse what cannot be simulated.

    Raises
    ------
    HostError
        No atoms, no cell, numbers that are not finite, atoms on top of each other.
    """
    if not isinstance(atoms, Atoms):
        raise HostError(f"the structure is {type(atoms).__name__}; wanted ASE Atoms")
    if not len(atoms):
        raise HostError("the structure has no atoms")
    if not (np.isfinite(atoms.positions).all() and np.isfinite(atoms.cell.array).all()):
        raise HostError("the structure has positions or cell vectors that are not finite numbers")
    if not atoms.pbc.any() and not open_boundaries:
        raise HostError(
            "the structure has no periodic cell (atoms.pbc is False in every direction); set atoms.cell and "
            "atoms.pbc, or say open_boundaries=True for a cluster"
        )
    periodic = atoms.cell.array[atoms.pbc]
    if len(periodic) and np.linalg.matrix_rank(periodic, tol=1e-6) < len(periodic):
        raise HostError(
            f"the structure is periodic along {atoms.pbc.sum()} directions but its cell vectors "
            f"{atoms.cell.array.tolist()} do not span them; set atoms.cell"
        )
    if moves_cell and not atoms.pbc.all():
        raise HostError("the cell can move only where all three directions are periodic; use a fixed cell")
    first, index, image = neighbour_table(
        np.ascontiguousarray(atoms.positions), np.ascontiguousarray(atoms.cell.array), atoms.pbc, CLOSEST
    )
    if len(index):
        i = int(np.searchsorted(first, 0, side="right")) - 1
        j = int(index[0])
        apart = float(np.linalg.norm(atoms.positions[j] + image[0] @ atoms.cell.array - atoms.positions[i]))
        raise HostError(
            f"atoms {i} ({atoms.symbols[i]}) and {j} ({atoms.symbols[j]}) overlap: they are {apart:.3f} Å "
            f"apart, and {len(index) // 2} pairs are nearer than {CLOSEST} Å; relax or repair the structure"
        )


def mobile_atoms(atoms: Atoms) -> np.ndarray:
    """(n,) bool, False for atoms held by `FixAtoms`.

    Raises
    ------
    DynamicsError
        Another kind of constraint.
    """
    mobile = np.ones(len(atoms), bool)
    for constraint in atoms.constraints:
        if not isinstance(constraint, FixAtoms):
            raise DynamicsError(
                f"the structure has the constraint {type(constraint).__name__}; only FixAtoms can be kept "
                "here"
            )
        mobile[constraint.get_indices()] = False
    return mobile


def make_rules(
    atoms: Atoms,
    ensemble: Ensemble,
    timestep_fs: float,
    length_ps: float,
    temperature: Ramp,
    pressure: Ramp,
    still: bool,
    bounds: tuple[float | None, tuple[float, float], float],
) -> Rules:
    """Parameters of the compiled step; `bounds`: temperature (K), volume (ratios), the longest move (Å)."""
    mobile = mobile_atoms(atoms)
    if ensemble.moves_cell and not mobile.all():
        raise DynamicsError(
            f"{int((~mobile).sum())} atoms are fixed while the cell moves; free them or use a fixed cell"
        )
    still = still and bool(mobile.all())
    freedom = 3 * int(mobile.sum()) - (3 if still else 0)
    if freedom <= 0:
        raise DynamicsError(
            "no atom can move: with the centre of mass at rest and fixed atoms taken away no degree of "
            "freedom is left; pass fix_centre_of_mass=False or free some atoms"
        )
    hottest, (smallest, largest), longest = bounds
    if hottest is None:
        highest = max(value for _, value in temperature.points)
        hottest = 10.0 * max(highest, 2.0 * atoms.get_kinetic_energy() / (freedom * units.kB)) + 10_000.0
    volume = abs(float(np.linalg.det(atoms.cell.array)))
    thermostat, barostat = ensemble.codes()
    ps = 1000.0 * units.fs
    return Rules(
        masses=np.ascontiguousarray(atoms.get_masses(), dtype=float),
        mobile=mobile,
        integers=np.array([thermostat, barostat, freedom, int(still)]),
        reals=np.array([
            timestep_fs * units.fs, ensemble.thermostat_fs * units.fs, ensemble.barostat_fs * units.fs,
            ensemble.compressibility_per_GPa / units.GPa, hottest * units.kB,
            smallest * volume, largest * volume, longest,
        ]),
        temperatures=np.ascontiguousarray(temperature.rows(length_ps) * [ps, units.kB]),
        pressures=np.ascontiguousarray(pressure.rows(length_ps) * [ps, units.GPa]),
    )  # fmt: skip


def make_state(atoms: Atoms, rules: Rules, kT: float, seed: int) -> State:
    """The first state. Atoms at rest get velocities of the temperature, scaled to be exactly at it."""
    n = len(atoms)
    random = random_state(seed)
    velocities = np.ascontiguousarray(atoms.get_velocities(), dtype=float).copy()
    velocities[~rules.mobile] = 0.0
    freedom, still = int(rules.integers[2]), bool(rules.integers[3])
    at_rest = not velocities.any()
    if at_rest and kT > 0:
        for i in np.flatnonzero(rules.mobile):
            velocities[i] = [normal(random) / math.sqrt(rules.masses[i]) for _ in range(3)]
    if still:
        remove_drift(velocities, rules.masses)
    kinetic = kinetic_energy(velocities, rules.masses)
    if at_rest and kinetic > 0:
        velocities *= math.sqrt(0.5 * freedom * kT / kinetic)
        kinetic = kinetic_energy(velocities, rules.masses)
    scalars = np.zeros(3)
    scalars[KINETIC] = kinetic
    return State(
        positions=np.ascontiguousarray(atoms.positions, dtype=float).copy(),
        velocities=velocities,
        forces=np.zeros((n, 3)),
        energies=np.zeros(n),
        cell=np.ascontiguousarray(atoms.cell.array, dtype=float).copy(),
        virial=np.zeros((3, 3)),
        scalars=scalars,
        chain=np.zeros((2, CHAIN)),
        random=random,
        counter=np.zeros(1, np.int64),
    )


def structure_digest(atoms: Atoms) -> str:
    """Digest of everything about the start that decides a trajectory."""
    digest = hashlib.sha256()
    parts: list[Any] = [
        atoms.numbers, atoms.positions, atoms.cell.array, atoms.pbc, atoms.get_masses(), atoms.get_momenta(),
        mobile_atoms(atoms),
    ]  # fmt: skip
    for part in parts:
        digest.update(np.ascontiguousarray(part).tobytes())
    return digest.hexdigest()[:16]
