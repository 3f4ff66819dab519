"""Li migration barriers from the literature, with a universal potential, by our bands and by ASE's own.

For every path of the chosen systems the two end structures are relaxed once; then `search.neb` and
`ase.mep.NEB` start from the same band (straight, rattled by 0.03 Å) with the same images, springs, limits and
calculator, without climbing, then climbing. The difference of the two barriers tests the bands. The
difference from DFT belongs to the potential (and, in part, to functional, supercell and charge state of the
published calculation).

    python -m case_studies.literature_barriers.run li_paths_5img.extxyz.gz --output runs/literature

The paths are those of sai-mat-group/predicting-migration-barriers (MIT licence): one frame a path, the first
five atoms are the moving Li at five linear images. Every finished evaluation is kept in the output folder, so
the script goes on where it was stopped; the table is written to `result.json`.
"""

import argparse
import json
from pathlib import Path

import ase.io
import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator, all_changes
from ase.geometry import find_mic
from ase.mep import NEB
from ase.optimize import BFGS, FIRE, LBFGS
from ase.optimize.optimize import Optimizer

from search import neb
from search.calculators import Evaluations

SYSTEMS = ("g-Li3PO4", "Li3OCl", "Cr2O4_Li", "LiSc2S4")
SETTINGS = neb.Settings(n_images=5, spring=5.0, fmax=0.01, climb_below=0.1, steps=300, max_splits=0)
END_FMAX = 0.01
RATTLE = 0.03
FIRE_STEPS = 600
LOST = 20.0  # eV/Å: no force of a band on its way to the path


class Kept(Calculator):
    """An ASE calculator whose answers are those of journalled evaluations."""

    implemented_properties = ["energy", "forces"]  # noqa: RUF012  # ASE wants a list

    def __init__(self, evaluate: Evaluations) -> None:
        super().__init__()
        self.evaluate = evaluate

    def calculate(self, atoms=None, properties=("energy",), system_changes=all_changes):
        """Energy, eV, and forces, eV/Å."""
        super().calculate(atoms, list(properties), system_changes)
        energies, gradients = self.evaluate(atoms.positions.reshape(1, -1))
        self.results = {"energy": float(energies[0]), "forces": -gradients.reshape(-1, 3)}


def chgnet():
    """The calculator: CHGNet (Deng et al., Nat. Mach. Intell. 5, 1031 (2023)), package chgnet."""
    from chgnet.model.dynamics import CHGNetCalculator
    from chgnet.model.model import CHGNet

    return CHGNetCalculator(CHGNet.load(use_device="cpu", verbose=False), use_device="cpu")


def end_structures(frame: Atoms, evaluate: Evaluations) -> tuple[Atoms, Atoms, list[float]]:
    """Both ends of a path, relaxed in the cell of the frame; and their energies, eV."""
    host = frame[5:]
    ends, energies = [], []
    for image in (0, 4):
        atoms = Atoms("Li", positions=[frame.positions[image]]) + host
        atoms.set_cell(frame.cell)
        atoms.pbc = True
        atoms.calc = Kept(evaluate)
        if not LBFGS(atoms, logfile=None, maxstep=0.1).run(fmax=END_FMAX, steps=400):
            raise RuntimeError(f"end {image} of {frame.info['sys_name']} did not relax to {END_FMAX} eV/Å")
        energies.append(float(atoms.get_potential_energy()))
        ends.append(atoms)
    return ends[0], ends[1], energies


def start_path(first: Atoms, last: Atoms) -> np.ndarray:
    """Straight images (m, 3n), Å, the inner ones rattled: a straight band can sit on a ridge by symmetry."""
    step = find_mic(last.positions - first.positions, first.cell, True)[0]
    share = np.linspace(0.0, 1.0, SETTINGS.n_images)[:, None]
    path = first.positions.ravel() + share * step.ravel()
    path[1:-1] += RATTLE * np.random.default_rng(0).standard_normal(path[1:-1].shape)
    return path


def by_ase(first: Atoms, path: np.ndarray, evaluate: Evaluations) -> tuple[float, str]:
    """Barrier, eV, by ASE's own band with the settings of ours; and the optimiser that converged, or "".

    BFGS is ASE's fastest optimiser for bands, but no function lies behind their forces, and on some paths it throws
    the images apart. FIRE then starts again from the same band.
    """
    barrier = np.nan
    for optimiser in (BFGS, FIRE):
        images = [first.copy() for _ in path]
        for image, positions in zip(images, path, strict=True):
            image.positions[:] = positions.reshape(-1, 3)
            image.calc = Kept(evaluate)
        band = NEB(images, k=SETTINGS.spring, climb=False, method="improvedtangent")
        good = _relax(optimiser(band, logfile=None, maxstep=0.1), SETTINGS.climb_below)
        band.climb = True
        good = good and _relax(optimiser(band, logfile=None, maxstep=0.1), SETTINGS.fmax)
        energies = [image.get_potential_energy() for image in images]
        barrier = float(max(energies) - energies[0])
        if good:
            return barrier, optimiser.__name__
    return barrier, ""


def _relax(optimiser: Optimizer, fmax: float) -> bool:
    """Whether the largest force, eV/Å, came below `fmax`; a band that flies apart is given up."""
    steps = FIRE_STEPS if isinstance(optimiser, FIRE) else SETTINGS.steps
    for converged in optimiser.irun(fmax=fmax, steps=steps):
        if converged:
            return True
        if np.abs(optimiser.optimizable.get_gradient()).max() > LOST:
            return False
    return False


def one_path(frame: Atoms, calculator, folder: Path) -> dict[str, object]:
    """Both barriers of one path with their evaluations."""
    template = Atoms("Li", positions=[frame.positions[0]]) + frame[5:]
    template.set_cell(frame.cell)
    template.pbc = True
    kept = folder / f"{frame.info['sys_name']}.journal"
    with Evaluations(template, calculator, checkpoint=kept) as evaluate:
        first, last, energies = end_structures(frame, evaluate)
        relaxing = evaluate.asked
        path = start_path(first, last)
        (band,) = neb.relax_bands(evaluate, [path], SETTINGS)
        ours = evaluate.asked
        theirs, optimiser = by_ase(first, path, evaluate)
        return {
            "path": str(frame.info["sys_name"]),
            "formula": template.get_chemical_formula(),
            "atoms": len(template),
            "dft_eV": float(frame.info["barrier_eV"]),
            "search_eV": round(band.barrier, 5),
            "search_converged": band.converged,
            "search_reason": band.reason,
            "ase_eV": round(theirs, 5),
            "ase_converged": bool(optimiser),
            "ase_optimiser": optimiser,
            "difference_meV": round(1e3 * (band.barrier - theirs), 3),
            "end_difference_eV": round(energies[1] - energies[0], 5),
            "evaluations_ends": relaxing,
            "evaluations_search": ours - relaxing,
            "evaluations_ase": evaluate.asked - ours,
        }


def main() -> None:
    """Run what is not there yet, print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("paths", type=Path)
    parser.add_argument("--output", type=Path, default=Path("runs") / "literature_barriers")
    parser.add_argument("--systems", nargs="+", default=list(SYSTEMS))
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    import torch

    torch.set_num_threads(options.threads)
    options.output.mkdir(parents=True, exist_ok=True)
    result = options.output / "result.json"
    rows = json.loads(result.read_text())["rows"] if result.exists() else []
    frames = {str(frame.info["sys_name"]): frame for frame in ase.io.read(options.paths, ":")}
    wanted = [name for system in options.systems for name in sorted(frames) if _belongs(name, system)]
    calculator = chgnet()
    for name in wanted:
        if name in {row["path"] for row in rows}:
            continue
        try:
            rows.append(one_path(frames[name], calculator, options.output))
        except RuntimeError as error:
            barrier = float(frames[name].info["barrier_eV"])
            rows.append({"path": name, "dft_eV": barrier, "failed": str(error)})
        settings = dict(vars(SETTINGS), end_fmax=END_FMAX, rattle=RATTLE)
        text = json.dumps({"calculator": "CHGNet 0.3.0", "settings": settings, "rows": rows}, indent=1)
        result.with_suffix(".tmp").write_text(text + "\n")
        result.with_suffix(".tmp").replace(result)
        print(json.dumps(rows[-1]), flush=True)
    show(rows)


def _belongs(name: str, system: str) -> bool:
    return name == system or name.rsplit("_", 1)[0] == system


def show(rows: list[dict]) -> None:
    """The table, and its summary as one JSON line."""
    print(f"{'path':14s} {'DFT':>7s} {'search':>8s} {'ASE':>8s} {'diff/meV':>9s} {'evaluations':>12s}")
    for row in rows:
        if "failed" in row:
            print(f"{row['path']:14s} {row['dft_eV']:7.3f} {row['failed']}")
            continue
        note = "" if row["search_converged"] and row["ase_converged"] else f"  {row['search_reason']}"
        print(
            f"{row['path']:14s} {row['dft_eV']:7.3f} {row['search_eV']:8.4f} {row['ase_eV']:8.4f} "
            f"{row['difference_meV']:9.2f} {row['evaluations_search']:5d} {row['evaluations_ase']:6d}{note}"
        )
    both = [row for row in rows if row.get("search_converged") and row.get("ase_converged")]
    if both:
        from_dft = np.array([row["search_eV"] - row["dft_eV"] for row in both])
        summary = {
            "paths": len(rows),
            "both_converged": len(both),
            "largest_difference_meV": max(abs(row["difference_meV"]) for row in both),
            "mean_absolute_difference_from_DFT_eV": round(float(np.abs(from_dft).mean()), 3),
            "evaluations_search": sum(row["evaluations_search"] for row in both),
            "evaluations_ase": sum(row["evaluations_ase"] for row in both),
        }
        print(json.dumps(summary))


if __name__ == "__main__":
    main()
