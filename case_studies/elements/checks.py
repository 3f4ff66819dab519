"""What the six potentials say about their crystals. Lattice, elasticity, vacancies, phonons.

python -m case_studies.elements.checks [Si Ge ...] [--data ../shared/data/mlearn]

For each element: lattice constant (Å), elastic constants with atoms relaxed (GPa), formation energy and
migration barrier of a vacancy (eV; the band by `search.neb`), lowest and highest frequency of all phonons
that fit into the supercell (THz; negative means imaginary). Where the DFT data are at hand, elastic constants
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
from ase.optimize import BFGS
from ase.units import GPa, _amu, _e
from scipy.optimize import minimize_scalar

from iondiff.files import write_json
from iondiff.potentials import load
from iondiff.training import read_structures, read_training_config
from iondiff.training.dataset import Labelled
from iondiff.training.settings import DataSection
from search import neb

HERE = Path(__file__).parent
CRYSTALS = {
    "Si": ("diamond", 5.47, 2), "Ge": ("diamond", 5.76, 2), "Li": ("bcc", 3.43, 4), "Mo": ("bcc", 3.16, 4),
    "Cu": ("fcc", 3.63, 3), "Ni": ("fcc", 3.52, 3),
}  # fmt: skip
"""Crystal, a first guess of the lattice constant (Å), cubic cells along each edge of the vacancy's supercell."""


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
        f = np.linalg.solve(reference, cell)
        e = 0.5 * (f @ f.T - np.eye(3))
        d, s = np.diag(e), np.array([e[1, 2], e[0, 2], e[0, 1]])
        rows.append([1.0, d.sum(), 0.5 * (d**2).sum(), 2.0 * (s**2).sum()])
    coefficients = np.linalg.lstsq(np.array(rows), energies / abs(np.linalg.det(reference)), rcond=None)[0]
    return {name: float(c / GPa) for name, c in zip(("stress", "C11", "C44"), coefficients[1:], strict=True)}


def elasticity_of_the_data(
    element: str, data: Path, calculator: Any, largest: float = 0.03
) -> dict[str, Any]:
    """The same fit to the DFT energies of slightly strained cells and to the potential's."""
    structures = strained_cells(element, data, read_training_config(HERE / f"{element}.toml").data)
    # The cell nearest to a cube is the one all others were made of.
    cube = min(structures, key=lambda s: np.ptp(s.atoms.cell.lengths()) + np.ptp(s.atoms.cell.angles()))
    if np.ptp(cube.atoms.cell.lengths()) > 0.01:
        return {}
    reference = cube.atoms.cell.array
    chosen = []
    for s in structures:
        f = np.linalg.solve(reference, s.atoms.cell.array)
        if len(s.atoms) == len(cube.atoms) and np.abs(0.5 * (f @ f.T - np.eye(3))).max() <= largest:
            chosen.append(s)
    predicted = []
    for s in chosen:
        atoms = s.atoms.copy()
        atoms.calc = calculator
        predicted.append(atoms.get_potential_energy())
    cells = [s.atoms.cell.array for s in chosen]
    return {
        "cells": len(chosen),
        "stress_in_the_file": float(cube.virial[:3].mean() / cube.atoms.get_volume() / GPa),
        "dft": fitted_elasticity(cells, np.array([s.energy for s in chosen]), reference),
        "potential": fitted_elasticity(cells, np.array(predicted), reference),
    }


def strained_cells(element: str, data: Path, section: DataSection) -> list[Labelled]:
    """The data's strained crystals."""
    every = read_structures(data / f"{element}_train.extxyz.gz", section)
    return [s for s in every if s.config_type == "Elastic"]


def shear_order(element: str, data: Path) -> dict[str, int]:
    """How often a shear of a cell appears in which stored component: {"xy in yz": 9, ...}."""
    places = {"yz": (1, 2), "xz": (0, 2), "xy": (0, 1)}
    found: dict[str, int] = {}
    for s in strained_cells(element, data, DataSection()):
        shape = s.atoms.cell.array / s.atoms.get_volume() ** (1 / 3)
        shear = {name: max(abs(shape[i, j]), abs(shape[j, i])) for name, (i, j) in places.items()}
        largest = max(shear, key=lambda name: shear[name])
        if shear[largest] > 0.01 and sum(v > 0.005 for v in shear.values()) == 1:
            stored = list(places)[int(np.argmax(np.abs(s.virial[3:])))]
            found[f"{largest} in {stored}"] = found.get(f"{largest} in {stored}", 0) + 1
    return found


def vacancy(element: str, a: float, calculator: Any) -> dict[str, Any]:
    """Formation energy, and the barrier of a nearest neighbour's jump into the vacancy."""
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
    formation = first.get_potential_energy() - (n - 1) / n * whole
    band = neb.with_calculator([(first, last)], calculator, start="idpp")[0]
    return {
        "atoms": n - 1, "formation_eV": float(formation), "migration_eV": band.barrier,
        "band_converged": bool(band.converged),
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


def check(element: str, data: Path | None) -> dict[str, Any]:
    calculator = load(HERE / f"{element}.nnp").calculator(extrapolation="ignore")
    a = lattice_constant(element, calculator)
    row: dict[str, Any] = {"lattice_A": a, "elastic_GPa": elastic_constants(element, a, calculator)}
    if data is not None and (data / f"{element}_train.extxyz.gz").exists():
        row["elastic_of_the_strained_cells_GPa"] = elasticity_of_the_data(element, data, calculator)
        row["shear_in_the_file"] = shear_order(element, data)
    row["phonons"] = phonons(element, a, calculator)
    row["vacancy"] = vacancy(element, a, calculator)
    return row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("elements", nargs="*", default=list(CRYSTALS))
    parser.add_argument("--data", type=Path, default=HERE.parents[2] / "shared" / "data" / "mlearn")
    arguments = parser.parse_args()
    path = HERE / "results.json"
    results = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    for element in arguments.elements or CRYSTALS:
        row = check(element, arguments.data if arguments.data.exists() else None)
        results[element] = {**results.get(element, {}), "properties": row}
        write_json(path, results)
        c, v, p = row["elastic_GPa"], row["vacancy"], row["phonons"]
        print(
            f"{element}: a {row['lattice_A']:.3f} Å, C11 {c['C11']:.0f}, C12 {c['C12']:.0f}, C44 {c['C44']:.0f} GPa; "
            f"vacancy {v['formation_eV']:.2f} eV, barrier {v['migration_eV']:.3f} eV; phonons "
            f"{p['lowest_THz']:.2f} to {p['highest_THz']:.2f} THz", flush=True,
        )  # fmt: skip
        if "elastic_of_the_strained_cells_GPa" in row:
            print(f"    strained cells: {json.dumps(row['elastic_of_the_strained_cells_GPa'])}")


if __name__ == "__main__":
    main()
