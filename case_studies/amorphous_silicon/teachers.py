"""The two teachers, and what they label: crystal, melt, quench, glass and random packings, from their own dynamics.

python -m case_studies.amorphous_silicon.teachers [T3 SW] [--output runs/a-si]

Writes <output>/labels/<teacher>.extxyz and <teacher>-test.extxyz (other seeds); a minute each.
"""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from ase.build import bulk
from ase.io import write

from iondiff.dynamics import Ramp, random_packing, run
from iondiff.potentials.classical import StillingerWeber
from iondiff.potentials.tersoff import Tersoff

TEACHERS: dict[str, Any] = {"T3": Tersoff(), "SW": StillingerWeber()}
STEP_FS = 2.0


def crystals(teacher: Any, seed: int) -> Iterator[Atoms]:
    """Diamond: strained and shaken, and warm from 300 to 1800 K."""
    generator = np.random.default_rng(seed)
    for amplitude in (0.0, 0.02, 0.05, 0.1, 0.15):
        for _ in range(4):
            atoms = bulk("Si", cubic=True) * 2
            strain = np.eye(3) + generator.normal(0, 0.02, (3, 3))
            atoms.set_cell(atoms.cell.array @ strain, scale_atoms=True)
            atoms.rattle(amplitude, rng=generator)
            yield atoms
    for k, kelvin in enumerate((300, 1000, 1800)):
        yield from _frames(
            bulk("Si", cubic=True) * 2, teacher, "npt", kelvin, 0.0, 5000, 250, seed + 50 + k
        )  # fmt: skip


def liquids(teacher: Any, seed: int) -> Iterator[Atoms]:
    """Melts at several temperatures, pressures and volumes, and quenches with the anneal behind them."""
    start = bulk("Si", cubic=True) * 2
    melt = run(start, teacher, "nvt", STEP_FS, 2500, 5000, seed=seed, every=10**6).atoms
    for k, (kelvin, pressure) in enumerate(
        [(3500, 0.0), (3000, 0.0), (3000, 10.0), (2500, 0.0), (2000, 0.0), (2500, -1.0)]
    ):
        yield from _frames(melt, teacher, "npt", kelvin, pressure, 8000, 200, seed + k)
    for k, stretch in enumerate((0.93, 0.97, 1.04)):
        other = melt.copy()
        other.set_cell(other.cell * stretch, scale_atoms=True)
        yield from _frames(other, teacher, "nvt", 4500, 0.0, 2000, 200, seed + 10 + k)
    hot = run(melt, teacher, "npt", STEP_FS, 3000, 3000, seed=seed + 20, every=10**6).atoms
    for k, rate in enumerate((3e14, 1e14, 3e13, 1e13)):
        ramp = Ramp.rate(3000, 300, rate)
        steps = int(ramp.duration_ps * 1e3 / STEP_FS)
        yield from _frames(hot, teacher, "npt", ramp, 0.0, steps, max(1, steps // 80), seed + 30 + k)


def packings(teacher: Any, seed: int) -> Iterator[Atoms]:
    """Random packings, where quenches begin, and how the teacher melts them: a network must have seen them."""
    for k, density in enumerate((2.0, 2.15, 2.3, 2.3, 2.45, 2.6)):
        packed = random_packing({"Si": 64}, density, distances=2.1, seed=seed + 40 + k)
        yield packed
        yield from _frames(packed, teacher, "npt", 3000, 0.0, 200, 10, seed + 40 + k)


def encounters(teacher: Any, seed: int) -> Iterator[Atoms]:
    """Far too hot for silicon: the distances at which a network without data would fall into a hole."""
    melt = run(bulk("Si", cubic=True) * 2, teacher, "nvt", STEP_FS, 2500, 5000, seed=seed, every=10**6).atoms
    for k, (kelvin, stretch) in enumerate(itertools.product((7000, 12000, 20000), (0.9, 1.0))):
        other = melt.copy()
        other.set_cell(other.cell * stretch, scale_atoms=True)
        yield from _frames(other, teacher, "nvt", kelvin, 0.0, 600, 30, seed + 60 + k)


def _frames(
    atoms: Atoms,
    teacher: Any,
    ensemble: str,
    temperature: Any,
    pressure: float,
    steps: int,
    every: int,
    seed: int,
) -> Iterator[Atoms]:
    """Frames of a run, taken through its watch."""
    kept: list[Atoms] = []
    run(
        atoms, teacher, ensemble, STEP_FS, steps, temperature, pressure, seed=seed, every=every,
        watch=kept.append,
    )  # fmt: skip
    yield from kept


def label(atoms: Atoms, kind: str, teacher: Any) -> Atoms:
    """The same structure with the teacher's energy, forces and stress."""
    bare = Atoms(atoms.symbols, atoms.positions, cell=atoms.cell, pbc=True, calculator=teacher.calculator())
    bare.wrap()
    bare.get_stress()
    bare.info["config_type"] = kind
    return bare


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("teachers", nargs="*", default=list(TEACHERS))
    parser.add_argument("--output", type=Path, default=Path("runs/a-si"))
    arguments = parser.parse_args()
    folder = arguments.output / "labels"
    folder.mkdir(parents=True, exist_ok=True)
    for name in arguments.teachers or TEACHERS:
        teacher = TEACHERS[name]
        for suffix, seed, every in (("", 0, 1), ("-test", 1000, 5)):
            made = {
                "crystal": crystals(teacher, seed), "liquid": liquids(teacher, seed), "packing": packings(teacher, seed)
            }  # fmt: skip
            if name == "T3":  # the network that learns Stillinger-Weber's needs none
                made["encounter"] = encounters(teacher, seed)
            frames = [(frame, kind) for kind, several in made.items() for frame in several][::every]
            write(folder / f"{name}{suffix}.extxyz", [label(*frame, teacher) for frame in frames])
            print(f"{name}{suffix}: {len(frames)} structures")


if __name__ == "__main__":
    main()
