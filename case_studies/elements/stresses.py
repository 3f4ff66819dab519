"""Do the stresses of the data belong to its energies? Order of the shear components, their size, a constant difference.

python -m case_studies.elements.stresses [--data ../shared/data/mlearn]

For each element, from the strained crystals in its file: which stored component moves when the cell is sheared in
one plane; and, over cells stretched along one axis, the slope of the energy by strain (a polynomial of at most
fourth degree through the energies) less the stored virial of that axis, mean and deviation (eV an atom). Where
that difference is not zero but the same at every strain, it is the Pulay stress of a finite plane-wave basis;
`virial_offset` in the configurations puts it right. And C44 of sheared cells, by their energies and by their stresses,
in the order that the configurations say. Results go to results.json beside this file.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
from ase.units import GPa

from iondiff.files import write_json
from iondiff.training import read_structures, read_training_config
from iondiff.training.dataset import Labelled
from iondiff.training.settings import DataSection

HERE = Path(__file__).parent
ELEMENTS = ("Si", "Ge", "Li", "Mo", "Cu", "Ni")
PLACES = {"yz": (1, 2), "xz": (0, 2), "xy": (0, 1)}


def strained_cells(element: str, data: Path, section: DataSection) -> list[Labelled]:
    """The data's strained crystals."""
    every = read_structures(data / f"{element}_train.extxyz.gz", section)
    return [s for s in every if s.config_type == "Elastic"]


def cube_of(structures: list[Labelled]) -> Labelled:
    """The cell nearest to a cube, of the usual number of atoms, is the one that all others were made of."""
    usual = float(np.median([len(s.atoms) for s in structures]))
    return min(
        (s for s in structures if len(s.atoms) == usual),
        key=lambda s: np.ptp(s.atoms.cell.lengths()) + np.ptp(s.atoms.cell.angles()),
    )


def lagrangian(reference: np.ndarray, cell: np.ndarray) -> np.ndarray:
    """(3, 3) strain that makes one cell of the other, rows are lattice vectors."""
    f = np.linalg.solve(reference, cell)
    return 0.5 * (f @ f.T - np.eye(3))


def shear_order(element: str, data: Path) -> dict[str, int]:
    """How often a shear of a cell appears in which stored component: {"xy in yz": 9, ...}."""
    found: dict[str, int] = {}
    for s in strained_cells(element, data, DataSection()):
        shape = s.atoms.cell.array / s.atoms.get_volume() ** (1 / 3)
        shear = {name: max(abs(shape[i, j]), abs(shape[j, i])) for name, (i, j) in PLACES.items()}
        largest = max(shear, key=lambda name: shear[name])
        if shear[largest] > 0.01 and sum(v > 0.005 for v in shear.values()) == 1:
            stored = list(PLACES)[int(np.argmax(np.abs(s.virial[3:])))]
            found[f"{largest} in {stored}"] = found.get(f"{largest} in {stored}", 0) + 1
    return found


def virial_offset(element: str, data: Path, flat: float = 1e-4) -> dict[str, Any]:
    """∂E/∂e less the virial of the file along the axis that was stretched, eV an atom."""
    structures = strained_cells(element, data, DataSection())
    cube = cube_of(structures)
    rows = []
    for s in structures:
        if len(s.atoms) != len(cube.atoms):
            continue
        strain = lagrangian(cube.atoms.cell.array, s.atoms.cell.array)
        stretched = np.flatnonzero(np.abs(np.diag(strain)) > flat)
        if len(stretched) == 1 and np.abs(strain - np.diag(np.diag(strain))).max() < flat:
            axis = int(stretched[0])
            n = len(s.atoms)
            rows.append((strain[axis, axis], s.energy / n, s.virial[axis] / n, s.atoms.get_volume() / n))
    strains, energies, virials, volumes = np.array(rows).T
    # σ V along the axis is (1 + 2 e) ∂E/∂e for a Lagrangian strain e.
    degree = min(4, len(np.unique(np.round(strains, 4))) - 2)
    slopes = np.polyval(np.polyder(np.polyfit(strains, energies, degree)), strains) * (1.0 + 2.0 * strains)
    difference = slopes - virials
    return {
        "cells": len(rows), "largest_strain": float(np.abs(strains).max()), "mean_eV_atom": float(difference.mean()),
        "deviation_eV_atom": float(difference.std()), "mean_GPa": float((difference / volumes).mean() / GPa),
    }  # fmt: skip


def shear_moduli(element: str, data: Path, section: DataSection) -> list[dict[str, float]]:
    """C44 (GPa) of cells sheared in one plane, for each size of the shear: by their energies, and by their stresses."""
    structures = strained_cells(element, data, section)
    cube = cube_of(structures)
    found: dict[float, list[tuple[float, float]]] = {}
    for s in structures:
        if len(s.atoms) != len(cube.atoms):
            continue
        strain = 2.0 * lagrangian(cube.atoms.cell.array, s.atoms.cell.array)
        sheared = [k for k, (i, j) in enumerate(PLACES.values()) if abs(strain[i, j]) > 2e-4]
        if len(sheared) == 1:
            k = sheared[0]
            shear = float(strain[list(PLACES.values())[k]])
            volume = s.atoms.get_volume() * GPa
            energies = 2.0 * (s.energy - cube.energy) / volume / shear**2
            found.setdefault(round(abs(shear), 2), []).append((energies, s.virial[3 + k] / volume / shear))
    return [
        {"shear": shear, "by_energies": float(e), "by_stresses": float(t)}
        for shear, (e, t) in sorted((shear, np.mean(pairs, axis=0)) for shear, pairs in found.items())
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=HERE.parents[2] / "shared" / "data" / "mlearn")
    arguments = parser.parse_args()
    path = HERE / "results.json"
    results = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    for element in ELEMENTS:
        section = read_training_config(HERE / f"{element}.toml").data
        section = section.model_copy(update={"unused_stresses": {}})
        row = {
            "shear": shear_order(element, arguments.data),
            "offset": virial_offset(element, arguments.data),
            "C44_GPa": shear_moduli(element, arguments.data, section),
        }
        results[element] = {**results.get(element, {}), "stresses_of_the_file": row}
        offset = row["offset"]
        print(
            f"{element}: {offset['mean_eV_atom']:+.3f} ± {offset['deviation_eV_atom']:.3f} eV an atom "
            f"({offset['mean_GPa']:+.2f} GPa) from {offset['cells']} cells; shear {row['shear']}; C44 by energies and "
            + ", ".join(f"{r['by_energies']:.0f} {r['by_stresses']:.0f}" for r in row["C44_GPa"])
        )
    write_json(path, results)
    print(json.dumps({element: results[element]["stresses_of_the_file"] for element in ELEMENTS}))


if __name__ == "__main__":
    main()
