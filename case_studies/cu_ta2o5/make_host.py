"""Make an amorphous host: random packing, melt, quench and relax with a teacher potential.

    python case_studies/cu_ta2o5/make_host.py host.extxyz --formula-units 12 --density 8.1

Needs the extra 'teacher' (CHGNet). With the defaults about 2,500 teacher calls on 84 atoms.
"""

import argparse
from pathlib import Path

import ase.io
import numpy as np
from ase import Atoms, units
from ase.data import atomic_masses, atomic_numbers
from ase.geometry import get_distances
from ase.md.langevin import Langevin
from ase.md.velocitydistribution import MaxwellBoltzmannDistribution
from ase.optimize import LBFGS

from iondiff.sampling.calculators import make_calculator

MIN_DISTANCE = {frozenset(("Ta",)): 2.6, frozenset(("O",)): 2.1, frozenset(("Ta", "O")): 1.7}  # Å


def random_packing(formula_units: int, density: float, generator: np.random.Generator) -> Atoms:
    """Atoms placed one by one at random in a cube, none closer to another than the table allows."""
    symbols = ["Ta"] * (2 * formula_units) + ["O"] * (5 * formula_units)
    mass = sum(atomic_masses[atomic_numbers[s]] for s in symbols)
    length = (mass / (density * 1e-24 / units._amu * 1e-3)) ** (1 / 3)
    cell = np.eye(3) * length
    placed: list[np.ndarray] = []
    for number, symbol in enumerate(symbols):
        for attempt in range(100_000):
            trial = generator.random(3) * length
            # Slowly relaxed bounds: a dense random packing jams before it is full.
            tolerance = 1.0 - 0.3 * attempt / 100_000
            if not placed:
                break
            distances = get_distances([trial], placed, cell=cell, pbc=True)[1][0]
            wanted = np.array([MIN_DISTANCE[frozenset((symbol, other))] for other in symbols[:number]])
            if (distances > tolerance * wanted).all():
                break
        else:
            raise SystemExit(
                f"no room for atom {number} of {len(symbols)} at {density} g/cm3; take a lower density"
            )
        placed.append(trial)
    return Atoms(symbols, positions=placed, cell=cell, pbc=True)


def quench(
    atoms: Atoms, hot: float, cold: float, rate: float, timestep_fs: float, melt_steps: int, seed: int
) -> None:
    """Langevin dynamics at `hot` K, then linearly down to `cold` K at `rate` K/s."""
    MaxwellBoltzmannDistribution(atoms, temperature_K=hot, rng=np.random.default_rng(seed))
    dynamics = Langevin(
        atoms,
        timestep_fs * units.fs,
        temperature_K=hot,
        friction=0.02 / units.fs,
        rng=np.random.default_rng(seed + 1),
    )
    dynamics.run(melt_steps)
    steps = int(np.ceil((hot - cold) / (rate * timestep_fs * 1e-15)))
    for step in range(steps):
        dynamics.set_temperature(temperature_K=hot + (cold - hot) * (step + 1) / steps)
        dynamics.run(1)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("output", type=Path)
    parser.add_argument("--formula-units", type=int, default=12)
    parser.add_argument("--density", type=float, default=8.1, help="g/cm3")
    parser.add_argument("--hot", type=float, default=3500.0, help="K")
    parser.add_argument("--cold", type=float, default=500.0, help="K")
    parser.add_argument("--rate", type=float, default=6.2e14, help="K/s")
    parser.add_argument("--timestep-fs", type=float, default=2.0)
    parser.add_argument("--melt-steps", type=int, default=500)
    parser.add_argument("--fmax", type=float, default=0.02, help="eV/Å, largest force left")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--calculator", default="iondiff.sampling.calculators:CHGNetForces")
    options = parser.parse_args()

    atoms = random_packing(options.formula_units, options.density, np.random.default_rng(options.seed))
    atoms.calc = make_calculator(options.calculator)
    LBFGS(atoms, maxstep=0.1, logfile=None).run(fmax=2.0, steps=200)
    quench(
        atoms, options.hot, options.cold, options.rate, options.timestep_fs, options.melt_steps, options.seed
    )
    LBFGS(atoms, logfile="-").run(fmax=options.fmax, steps=2000)
    fmax = float(np.linalg.norm(atoms.get_forces(), axis=1).max())
    atoms.wrap()
    atoms.calc = None
    atoms.info = {"fmax": fmax, "teacher": options.calculator, "rate_K_s": options.rate, "seed": options.seed}
    ase.io.write(options.output, atoms, format="extxyz", columns=["symbols", "positions"])
    print(f"{len(atoms)} atoms, largest force {fmax:.3f} eV/Å: {options.output}")


if __name__ == "__main__":
    main()
