"""Quench silicon at several rates under one protocol, with a teacher or with the network that learnt from it.

python -m case_studies.amorphous_silicon.quench MODEL [--atoms 64] [--rates 1e15 1e14 1e13 1e12] [--samples 2]
    [--output runs/a-si]

MODEL is T3, SW, NNP(T3), NNP(SW) or NNP(DFT). Killed and started again it goes on, and finished glasses are not
made again. Each glass joins glasses/<model>-<atoms>.extxyz beside this script as soon as it is there.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

from ase import Atoms
from ase.build import bulk
from ase.io import read, write

from case_studies.amorphous_silicon.teachers import TEACHERS
from iondiff.dynamics import Protocol, melt_quench, random_packing, relax
from iondiff.files import file_hash
from iondiff.potentials import ZBL, Hybrid, load

HERE = Path(__file__).parent
GLASSES = HERE / "glasses"
MODELS = ("T3", "SW", "NNP(T3)", "NNP(SW)", "NNP(DFT)")
DENSITY, NEAREST = 2.3, 2.1  # g/cm³ and Å of the first packing


def file_of(model: str) -> Path | None:
    """The file of a network; None for a teacher."""
    if model in TEACHERS:
        return None
    name = model.removeprefix("NNP(").removesuffix(")")
    return HERE.parent / "elements" / "Si.nnp" if name == "DFT" else HERE / f"{name}.nnp"


def potential_of(model: str) -> Any:
    """A teacher, or a network with a repulsive core under it."""
    file = file_of(model)
    if file is None:
        return TEACHERS[model]
    network = load(file)
    return Hybrid(network, ZBL(network.species))


def protocol_at(rate: float, model: str) -> Protocol:
    """The same for a teacher and the network that learnt from it.

    T3 melts near 2500 K. The liquid of the network that learnt DFT may boil at 3000 K (boil.py).
    """
    melt_K = 2500.0 if model == "NNP(DFT)" else 3000.0
    return Protocol(
        melt_K=melt_K, final_K=300.0, rate_K_per_s=rate, melt_ps=10.0, most_melt_ps=100.0, anneal_ps=10.0,
        timestep_fs=2.0, ensemble="npt", every=500,
    )  # fmt: skip


def crystal_energy(potential: Any) -> float:
    """EV an atom of diamond at the potential's own lattice constant, by golden section."""
    low, high = 5.2, 5.7
    share = 0.5 * (5**0.5 - 1)

    def energy(a: float) -> float:
        return relax(bulk("Si", a=a, cubic=True) * 2, potential, 0.0)[1] / 64

    while high - low > 1e-4:
        one, two = high - share * (high - low), low + share * (high - low)
        low, high = (low, two) if energy(one) < energy(two) else (one, high)
    return energy(0.5 * (low + high))


def glass(model: str, potential: Any, n_atoms: int, rate: float, sample: int, folder: Path) -> Atoms:
    """One quench; what is known of it in `info`."""
    start = random_packing({"Si": n_atoms}, DENSITY, distances=NEAREST, seed=sample)
    begin = time.process_time()
    fresh = not folder.exists()
    made = melt_quench(start, potential, protocol_at(rate, model), folder, seed=sample, progress=False)
    atoms = Atoms(made.atoms.symbols, made.atoms.positions, cell=made.atoms.cell, pbc=True)
    atoms.wrap()
    atoms.info = {
        "model": model, "rate_K_per_s": rate, "sample": sample, "energy_eV": made.energy_eV,
        "quench_steps": made.protocol.quench_steps,
        "melt_ps": 10.0 * sum(name.startswith("melt") for name in made.log["stage"].unique()),
    }  # fmt: skip
    if made.warnings:
        atoms.info["warnings"] = " ".join(made.warnings)
    if fresh:  # else part of the time was spent in another process
        atoms.info["cpu_s"] = round(time.process_time() - begin, 1)
    return atoms


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", choices=MODELS)
    parser.add_argument("--atoms", type=int, default=64)
    parser.add_argument("--rates", type=float, nargs="+", default=[1e15, 1e14, 1e13, 1e12])
    parser.add_argument("--samples", type=int, default=2)
    parser.add_argument("--output", type=Path, default=Path("runs/a-si"))
    arguments = parser.parse_args()
    model, n_atoms = arguments.model, arguments.atoms
    potential = potential_of(model)
    GLASSES.mkdir(exist_ok=True)
    path = GLASSES / f"{model.replace('(', '-').replace(')', '')}-{n_atoms}.extxyz"
    done = read(path, ":") if path.exists() else []
    reference = crystal_energy(potential)
    for rate in arguments.rates:
        for sample in range(1, arguments.samples + 1):
            if any((one.info["rate_K_per_s"], one.info["sample"]) == (rate, sample) for one in done):
                continue
            folder = arguments.output / "quenches" / f"{path.stem}-{rate:.0e}-{sample}"
            made = glass(model, potential, n_atoms, rate, sample, folder)
            made.info["crystal_eV"] = reference
            if (file := file_of(model)) is not None:
                made.info["potential_sha256"] = file_hash(file)[:12]
            done.append(made)
            done.sort(key=lambda one: (-one.info["rate_K_per_s"], one.info["sample"]))
            scratch = path.with_suffix(".part")
            write(scratch, done, format="extxyz")
            scratch.replace(path)
            excess = made.info["energy_eV"] / n_atoms - reference
            print(
                f"{model} {n_atoms} atoms {rate:.0e} K/s sample {sample}: {excess:.4f} eV above the crystal",
                flush=True,
            )


if __name__ == "__main__":
    main()
