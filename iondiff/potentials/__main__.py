"""``python -m iondiff.potentials PATH [STRUCTURE]``: what a potential is, and what it says of a structure."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
from ase.io import read

from iondiff.descriptors import ElementDescriptor
from iondiff.errors import IondiffError, PotentialError
from iondiff.potentials.committee import Committee
from iondiff.potentials.evaluation import Evaluation
from iondiff.potentials.files import load
from iondiff.potentials.guest import GuestNNP
from iondiff.potentials.hdnnp import HDNNP
from iondiff.potentials.n2p2_data import read_structures

_EV_PER_A3_IN_GPA = 160.2176634


def main(arguments: list[str] | None = None) -> int:
    """Print; exit code 2 and one sentence where something is wrong."""
    parser = argparse.ArgumentParser(
        prog="python -m iondiff.potentials", description=__doc__.split(":", 1)[1]
    )
    parser.add_argument("path", help="a .nnp file, or a directory of n2p2 or RuNNer")
    parser.add_argument("structure", nargs="?", help="any file ASE reads, or an input.data")
    parser.add_argument(
        "--units", default="Angstrom,eV", help="of a directory and an input.data: Angstrom,eV or bohr,hartree"
    )
    parser.add_argument("--index", default=":", help="frames of the structure file, in ASE's notation")
    parser.add_argument("--functions", action="store_true", help="list all symmetry functions")
    parser.add_argument("--precision", default="double", choices=["double", "mixed"])
    options = parser.parse_args(arguments)
    units = tuple(options.units.split(","))
    try:
        potential = load(options.path, units)  # type: ignore[arg-type]
        print(describe(potential, functions=options.functions))
        if options.structure:
            _evaluate(potential, options, units)  # type: ignore[arg-type]
    except IondiffError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


def describe(potential: GuestNNP | HDNNP | Committee, *, functions: bool = False) -> str:
    """What a potential is, for people."""
    if isinstance(potential, GuestNNP):
        lines = [
            f"Guest potential of {potential.guest} in a host of {', '.join(potential.functions.elements)}",
            f"{len(potential.functions)} symmetry functions, cutoff {potential.functions.cutoff:.3f} Å, "
            f"layers {'-'.join(map(str, potential.layers))}, {len(potential.weights)} members",
        ]
        return "\n".join([*lines, potential.functions.table()] if functions else lines)
    lead = potential if isinstance(potential, HDNNP) else potential.members[0]
    count = 1 if isinstance(potential, HDNNP) else len(potential)
    lines = [
        f"HDNNP of {', '.join(lead.species)}" + (f", a committee of {count}" if count > 1 else ""),
        f"cutoff {lead.cutoff:.4f} Å; in eV and Å",
    ]
    if lead.summary.get("source"):
        lines.append(f"from {lead.summary['source']}; units assumed of the files: {', '.join(lead.units)}")
    for element, network, energy in zip(lead.descriptor.elements, lead.networks, lead.offsets(), strict=True):
        lines.append(
            f"{element.centre:<2} {_counted(element)}; layers {'-'.join(map(str, network.layers))} "
            f"({' '.join(network.activations)}); scaling {element.scaling.mode}; "
            f"energy of reference {energy:.6f} eV"
        )
    return "\n".join([*lines, lead.descriptor.table()] if functions else lines)


def _counted(element: ElementDescriptor) -> str:
    kinds = [f.kind for f in element.functions]
    return ", ".join(f"{kinds.count(kind)} {kind}" for kind in dict.fromkeys(kinds))


def _evaluate(
    potential: HDNNP | Committee | GuestNNP, options: argparse.Namespace, units: tuple[str, str]
) -> None:
    if isinstance(potential, GuestNNP):
        raise PotentialError(
            "a guest potential has energies of a guest in its host only: use landscape(host)"
        )
    path = Path(options.structure)
    if path.name == "input.data" or path.suffix == ".data":
        frames = read_structures(path, units)
    else:
        try:
            found = read(path, index=options.index)
        except Exception as error:  # ASE's readers fail in every way
            raise PotentialError(f"structure file {path} cannot be read: {error}") from error
        frames = found if isinstance(found, list) else [found]
    for k, answer in enumerate(potential.evaluate(frames, precision=options.precision)):
        print(f"\nframe {k}: {frames[k].get_chemical_formula()}")
        print(_report(answer, frames[k].get_chemical_symbols()))


def _report(found: Evaluation, symbols: list[str]) -> str:
    lines = [f"energy {found.energy:.10f} eV, {found.energy / len(symbols):.6f} eV an atom"]
    if len(found.member_energies):
        lines.append(
            f"spread of the members: {found.energy_spread:.3g} eV, forces up to "
            f"{found.force_spread.max():.3g} eV/Å"
        )
    if found.volume > 0:
        names = ("xx", "yy", "zz", "yz", "xz", "xy")
        values = found.stress * _EV_PER_A3_IN_GPA
        stress = "  ".join(f"{n} {v:.4f}" for n, v in zip(names, values, strict=True))
        lines.append(f"stress (GPa, positive: would shrink) {stress}")
    lines.append("forces (eV/Å)")
    for i, (symbol, force) in enumerate(zip(symbols, found.forces, strict=True)):
        lines.append(f"{i:6d} {symbol:<2} " + " ".join(f"{x:14.8f}" for x in force))
    lines.append(f"largest force {np.linalg.norm(found.forces, axis=1).max():.6f} eV/Å")
    if not found.extrapolations:
        lines.append("no symmetry function is outside the range of the training set")
    else:
        atoms = len({e.atom for e in found.extrapolations})
        lines.append(f"{len(found.extrapolations)} symmetry functions of {atoms} atoms are out of range:")
        worst = sorted(found.extrapolations, key=lambda e: -e.excess)
        lines += [f"  {e}" for e in worst[:20]]
        if len(worst) > 20:
            lines.append(f"  and {len(worst) - 20} more")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
