"""Heterosite FePO4, the empty frame of a lithium iron phosphate cathode, relaxed by the teacher.

    python case_studies/li_fepo4/make_host.py case_studies/li_fepo4/host.extxyz

Starting places: Andersson, Kalska, Häggström and Thomas, Solid State Ionics 130, 41 (2000), space group Pnma.
Needs the extra 'teacher' (CHGNet).
"""

import argparse
from pathlib import Path

import ase.io
from ase.optimize import LBFGS
from ase.spacegroup import crystal

from iondiff.sampling.calculators import make_calculator


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("output", type=Path)
    parser.add_argument("--repeat", type=int, nargs=3, default=(1, 1, 2))
    parser.add_argument("--calculator", default="iondiff.sampling.calculators:CHGNetForces")
    options = parser.parse_args()
    cell = crystal(
        ("Fe", "P", "O", "O", "O"),
        basis=[
            (0.2753, 0.25, 0.9478),
            (0.0940, 0.25, 0.3959),
            (0.1215, 0.25, 0.7088),
            (0.4389, 0.25, 0.1598),
            (0.1663, 0.0448, 0.2504),
        ],
        spacegroup=62,
        cellpar=[9.7599, 5.7519, 4.7560, 90, 90, 90],
    )
    host = cell.repeat(options.repeat)
    host.calc = make_calculator(options.calculator)
    with LBFGS(host) as relaxation:
        relaxation.run(fmax=0.01, steps=300)
    host.calc = None
    ase.io.write(options.output, host, format="extxyz", columns=["symbols", "positions"])


if __name__ == "__main__":
    main()
