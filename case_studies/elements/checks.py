"""What the six potentials say about their crystals. Lattice, elasticity, vacancies, phonons, heat.

python -m case_studies.elements.checks [Si Ge ...] [--only vacancy hot] [--data ../shared/data/mlearn]

For each element: lattice constant (Å), elastic constants with atoms relaxed (GPa), formation energy and
migration barrier of a vacancy (eV; the band by `search.neb`), lowest and highest frequency of all phonons
that fit into the supercell (THz; negative means imaginary), and whether a crystal heated beyond melting keeps its
energy. Where the DFT data are at hand, elastic constants
are also fitted to the energies of the strained cells in them, twice with the same formula and the same
positions: to the DFT energies and to the potential's. Results go to results.json beside this file.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from ase.build import bulk
from ase.data import atomic_masses, atomic_numbers
from ase.md.velocitydistribution import MaxwellBoltzmannDistribution, Stationary
from ase.md.verlet import VelocityVerlet
from ase.optimize import BFGS
from ase.units import GPa, _amu, _e, fs
from scipy.optimize import minimize_scalar

from case_studies.elements.stresses import cube_of, lagrangian, strained_cells
from iondiff.files import write_json
from iondiff.potentials import load
from iondiff.training import read_training_config
from search import neb

HERE = Path(__file__).parent
CRYSTALS = {
    "Si": ("diamond", 5.47, 2), "Ge": ("diamond", 5.76, 2), "Li": ("bcc", 3.43, 4), "Mo": ("bcc", 3.16, 4),
    "Cu": ("fcc", 3.63, 3), "Ni": ("fcc", 3.52, 3),
}  # fmt: skip
"""Crystal, a first guess of the lattice constant (Å), cubic cells along each edge of the vacancy's supercell."""

CHECKS = ("elastic", "phonons", "vacancy", "hot")
MELTING_K = {"Si": 1687.0, "Ge": 1211.0, "Li": 454.0, "Mo": 2896.0, "Cu": 1358.0, "Ni": 1728.0}


def relaxed(atoms: Atoms, calculator: Any, fmax: float = 1e-3) -> Atoms:
    atoms = atoms.copy()
    atoms.calc = calculator
    BFGS(atoms, logfile=None).run(fmax=fmax, steps=300)
    return atoms


def lattice_constant(element: str, calculator: Any) -> float:
    kind, guess, _ = CRYSTALS[element]

    def energy(a: float) -> float:
        atoms = bulk(element, kind, a=a)
        atoms.calc = calculator
        return atoms.get_potential_energy()

    return float(minimize_scalar(energy, bracket=(0.98 * guess, guess, 1.02 * guess), tol=1e-6).x)


def elastic_constants(element: str, a: float, calculator: Any, strain: float = 2e-3) -> dict[str, float]:
    """From stresses of cells strained by ± `strain`, atoms relaxed in each."""
    perfect = bulk(element, CRYSTALS[element][0], a=a, cubic=True)

    def stress(component: tuple[int, int], size: float) -> np.ndarray:
        deformation = np.eye(3)
        i, j = component
        deformation[i, j] += 0.5 * size
        deformation[j, i] += 0.5 * size
        atoms = perfect.copy()
        atoms.set_cell(atoms.cell.array @ deformation, scale_atoms=True)
        return relaxed(atoms, calculator, 1e-5).get_stress() / GPa

    along = (stress((0, 0), strain) - stress((0, 0), -strain)) / (2 * strain)
    shear = (stress((1, 2), strain) - stress((1, 2), -strain)) / (2 * strain)
    return {"C11": float(along[0]), "C12": float(0.5 * (along[1] + along[2])), "C44": float(shear[3])}


def fitted_elasticity(
    cells: list[np.ndarray], energies: np.ndarray, reference: np.ndarray
) -> dict[str, float]:
    """Elastic constants and stress at the reference (GPa) of a quadratic form in the Lagrangian strain.

    Least squares; energies in eV per cell of volume |reference|; cells (3, 3), Å. C12 is not in it: the data's
    cells are stretched along one axis or sheared in one plane.
    """
    rows = []
    for cell in cells:
        e = lagrangian(reference, cell)
        d, s = np.diag(e), np.array([e[1, 2], e[0, 2], e[0, 1]])
        rows.append([1.0, d.sum(), 0.5 * (d**2).sum(), 2.0 * (s**2).sum()])
    coefficients = np.linalg.lstsq(np.array(rows), energies / abs(np.linalg.det(reference)), rcond=None)[0]
    return {name: float(c / GPa) for name, c in zip(("stress", "C11", "C44"), coefficients[1:], strict=True)}


def elasticity_of_the_data(
    element: str, data: Path, calculator: Any, largest: float = 0.03
) -> dict[str, Any]:
    """The same fit to the DFT energies of slightly strained cells and to the potential's."""
    structures = strained_cells(element, data, read_training_config(HERE / f"{element}.toml").data)
    cube = cube_of(structures)
    reference = cube.atoms.cell.array
    chosen = [
        s
        for s in structures
        if len(s.atoms) == len(cube.atoms)
        and np.abs(lagrangian(reference, s.atoms.cell.array)).max() <= largest
    ]
    predicted = []
    for s in chosen:
        atoms = s.atoms.copy()
        atoms.calc = calculator
        predicted.append(atoms.get_potential_energy())
    cells = [s.atoms.cell.array for s in chosen]
    return {
        "cells": len(chosen),
        "dft": fitted_elasticity(cells, np.array([s.energy for s in chosen]), reference),
        "potential": fitted_elasticity(cells, np.array(predicted), reference),
    }


def vacancy(element: str, a: float, calculator: Any) -> dict[str, Any]:
    """Formation energy of the best vacancy on the way of a nearest neighbour's jump, and the barrier from there.

    Half-way may lie a minimum, also one below the two ends (in diamond the split vacancy); a band ends there and
    another goes on.
    """
    kind, _, repeat = CRYSTALS[element]
    perfect = bulk(element, kind, a=a, cubic=True).repeat(repeat)
    perfect.calc = calculator
    whole = perfect.get_potential_energy()
    n = len(perfect)
    distances = perfect.get_distances(0, range(n), mic=True)
    neighbour = int(np.argsort(distances)[1])
    first = perfect.copy()
    del first[0]
    first = relaxed(first, calculator, 5e-3)
    last = perfect.copy()
    last.positions[neighbour] = perfect.positions[0]
    del last[0]
    last = relaxed(last, calculator, 5e-3)
    bands = neb.with_calculator([(first, last)], calculator, start="idpp")
    energies = np.concatenate([band.energies for band in bands])
    unrelaxed = (n - 1) / n * whole
    return {
        "atoms": n - 1, "formation_eV": float(energies.min() - unrelaxed),
        "formation_at_the_site_eV": float(first.get_potential_energy() - unrelaxed),
        "migration_eV": float(energies.max() - energies.min()), "pieces": len(bands),
        "band_converged": all(bool(band.converged) for band in bands),
    }  # fmt: skip


def phonons(element: str, a: float, calculator: Any, repeat: int = 4, step: float = 0.01) -> dict[str, float]:
    """Frequencies (THz) of all wave vectors that fit into a supercell of primitive cells."""
    primitive = bulk(element, CRYSTALS[element][0], a=a)
    m = len(primitive)
    supercell = primitive.repeat(repeat)
    supercell.calc = calculator
    n = len(supercell)
    constants = np.zeros((m, 3, n, 3))
    for atom in range(m):
        for k in range(3):
            forces = []
            for sign in (1, -1):
                moved = supercell.copy()
                moved.positions[atom, k] += sign * step
                moved.calc = calculator
                forces.append(moved.get_forces())
            constants[atom, k] = (forces[1] - forces[0]) / (2 * step)
    # Atoms of the supercell come cell after cell; the cell of each is a whole lattice vector.
    translations = (supercell.positions - np.tile(primitive.positions, (n // m, 1))) @ np.linalg.inv(
        primitive.cell.array
    )
    translations = np.round(translations).astype(int)
    mass = atomic_masses[atomic_numbers[element]]
    frequencies = []
    for q in np.ndindex(repeat, repeat, repeat):
        phase = np.exp(2j * np.pi * translations @ (np.array(q) / repeat))
        matrix = np.zeros((3 * m, 3 * m), dtype=complex)
        for atom in range(m):
            for j in range(n):
                matrix[3 * atom : 3 * atom + 3, 3 * (j % m) : 3 * (j % m) + 3] += (
                    constants[atom, :, j] * phase[j]
                )
        squares = np.linalg.eigvalsh(0.5 * (matrix + matrix.conj().T) / mass)
        omega = np.sign(squares) * np.sqrt(np.abs(squares) * _e / _amu) * 1e10 / (2 * np.pi * 1e12)
        frequencies += sorted(omega)[3:] if not any(q) else list(omega)
    return {
        "lowest_THz": float(min(frequencies)),
        "highest_THz": float(max(frequencies)),
        "wave_vectors": repeat**3,
    }


def hot_crystal(
    element: str, a: float, calculator: Any, steps: int = 1000, timestep_fs: float = 1.0
) -> dict[str, float]:
    """Does the potential hold when the crystal melts? Energies are conserved, no two atoms fall into each other.

    A crystal of 32 to 64 atoms is given velocities of three times the melting temperature, half of which goes into
    potential energy, and left alone (NVE). Temperature (K) is the mean of the second half.
    """
    repeat = {"diamond": 2, "bcc": 3, "fcc": 2}[CRYSTALS[element][0]]
    atoms = bulk(element, CRYSTALS[element][0], a=a, cubic=True).repeat(repeat)
    atoms.calc = calculator
    generator = np.random.default_rng(0)
    MaxwellBoltzmannDistribution(atoms, temperature_K=3 * MELTING_K[element], rng=generator)
    Stationary(atoms)
    dynamics = VelocityVerlet(atoms, timestep_fs * fs)
    totals, temperatures, closest = [], [], []
    for _ in range(steps // 10):
        dynamics.run(10)
        totals.append(atoms.get_total_energy() / len(atoms))
        temperatures.append(atoms.get_temperature())
        distances = atoms.get_all_distances(mic=True)
        closest.append(distances[np.triu_indices(len(atoms), 1)].min())
    half = len(totals) // 2
    return {
        "atoms": len(atoms), "ps": steps * timestep_fs / 1e3, "temperature_K": float(np.mean(temperatures[half:])),
        "largest_energy_change_meV_atom": float(1e3 * np.abs(np.array(totals) - totals[0]).max()),
        "closest_A": float(min(closest)),
    }  # fmt: skip


def check(element: str, data: Path | None, which: list[str]) -> dict[str, Any]:
    calculator = load(HERE / f"{element}.nnp").calculator(extrapolation="ignore")
    a = lattice_constant(element, calculator)
    row: dict[str, Any] = {"lattice_A": a}
    if "elastic" in which:
        row["elastic_GPa"] = elastic_constants(element, a, calculator)
        if data is not None and (data / f"{element}_train.extxyz.gz").exists():
            row["elastic_of_the_strained_cells_GPa"] = elasticity_of_the_data(element, data, calculator)
    if "phonons" in which:
        row["phonons"] = phonons(element, a, calculator)
    if "vacancy" in which:
        row["vacancy"] = vacancy(element, a, calculator)
    if "hot" in which:
        row["hot"] = hot_crystal(element, a, calculator)
    return row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("elements", nargs="*", default=list(CRYSTALS))
    parser.add_argument("--data", type=Path, default=HERE.parents[2] / "shared" / "data" / "mlearn")
    parser.add_argument("--only", nargs="*", default=list(CHECKS), choices=list(CHECKS))
    arguments = parser.parse_args()
    path = HERE / "results.json"
    for element in arguments.elements or CRYSTALS:
        row = check(element, arguments.data if arguments.data.exists() else None, arguments.only)
        # Read anew: a training beside this may have written.
        results = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
        known = results.setdefault(element, {}).get("properties", {})
        results[element]["properties"] = {**known, **row}
        write_json(path, results)
        print(f"{element}: {json.dumps(row)}", flush=True)


if __name__ == "__main__":
    main()
