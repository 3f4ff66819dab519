"""The structure analysis against matscipy and freud on one glass and one crystal: same numbers, how fast.

STRUCTURE_PYTHON=... python -m benchmarks.structure [--structure FILE] [--cutoff 2.85]

The variable names the interpreter of an environment with matscipy, freud-analysis and ase. Last one JSON line.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from ase.build import bulk
from ase.io import read, write

from iondiff.analysis.structure import bond_angles, coordination, rdf, ring_sizes, structure_factor

HERE = Path(__file__).parent
GLASS = HERE.parent / "case_studies" / "amorphous_silicon" / "glasses" / "T3-216.extxyz"
BINS = 160


def timed(call: Callable[[], Any]) -> tuple[Any, float]:
    """The answer, and the fastest of three after a first call that compiles; CPU seconds."""
    answer = call()
    times = []
    for _ in range(3):
        begin = time.process_time()
        call()
        times.append(time.process_time() - begin)
    return answer, min(times)


def ours(atoms: Atoms, cutoff: float, r_max: float) -> dict[str, Any]:
    (_, g), rdf_s = timed(lambda: rdf(atoms, r_max, BINS))
    counts, count_s = timed(lambda: coordination(atoms, cutoff))
    angles, angle_s = timed(lambda: bond_angles(atoms, cutoff))
    rings, ring_s = timed(lambda: ring_sizes(atoms, cutoff))
    fine, fine_s = timed(lambda: rdf(atoms, 20.0, 2000))
    return {
        "g": g, "rdf_s": rdf_s, "coordination": counts, "coordination_s": count_s, "angle_mean": angles.mean(),
        "angle_spread": angles.std(), "angles_s": angle_s, "rings": dict(sorted(rings.items())), "rings_s": ring_s,
        "fine": fine, "S_s": fine_s,
    }  # fmt: skip


def compare(name: str, atoms: Atoms, cutoff: float, interpreter: str | None) -> dict[str, Any]:
    """Largest differences and times of one structure."""
    r_max = 0.49 * float(atoms.cell.lengths().min())
    own = ours(atoms, cutoff, r_max)
    row: dict[str, Any] = {"structure": name, "atoms": len(atoms), "rings": own["rings"]}
    row["seconds"] = {"iondiff": {key: own[key] for key in own if key.endswith("_s")}}
    if interpreter is None:
        return row
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "structure.extxyz"
        write(file, Atoms(atoms.symbols, atoms.positions, cell=atoms.cell, pbc=True))
        driver = str(HERE / "others" / "drive_structure.py")
        command = [interpreter, driver, str(file), str(cutoff), str(r_max), str(BINS)]
        environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
        found = json.loads(subprocess.run(command, check=True, capture_output=True, env=environment).stdout)
    for library, theirs in found.items():
        if "missing" in theirs:
            row[library] = theirs["missing"]
            continue
        difference = {
            # N - 1 others and not N: a library may count either way.
            "g": min(
                float(np.abs(np.array(theirs["g"]) * factor - own["g"]).max())
                for factor in (1.0, 1.0 - 1.0 / len(atoms), 1.0 / (1.0 - 1.0 / len(atoms)))
            ),
            "coordination": int(np.abs(np.array(theirs["coordination"]) - own["coordination"]).max()),
        }
        if "angle_mean" in theirs:
            difference["angle_deg"] = abs(theirs["angle_mean"] - own["angle_mean"])
            difference["angle_spread_deg"] = abs(theirs["angle_spread"] - own["angle_spread"])
            row["rings_matscipy"] = theirs["rings"]
        if "S" in theirs:
            k, S = np.array(theirs["k"]), np.array(theirs["S"])
            mine = structure_factor(*own["fine"], len(atoms) / atoms.get_volume(), k)
            seen = (S > 0) & (k > 3.0)
            difference["S_mean"] = float(np.abs(S[seen] - mine[seen]).mean())
        row[library] = difference
        row["seconds"][library] = {key: value for key, value in theirs.items() if key.endswith("_s")}
    return row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--structure", type=Path, default=GLASS)
    parser.add_argument("--cutoff", type=float, default=2.85)
    arguments = parser.parse_args()
    interpreter = os.environ.get("STRUCTURE_PYTHON")
    glass = read(arguments.structure, -1)
    rows = [
        compare("glass", glass, arguments.cutoff, interpreter),
        compare("diamond", bulk("Si", cubic=True) * 3, arguments.cutoff, interpreter),
    ]
    for row in rows:
        print(f"{row['structure']}, {row['atoms']} atoms")
        for library, times in row["seconds"].items():
            shown = ", ".join(f"{key[:-2]} {1e3 * value:.3g}" for key, value in times.items())
            print(f"  {library:<9} milliseconds: {shown}")
            if library in row:
                print(f"  {'':<9} differences: " + ", ".join(f"{k} {v:.2g}" for k, v in row[library].items()))
        print(f"  shortest ring through each pair of bonds: {row['rings']}")
        if "rings_matscipy" in row:
            print(f"  rings without a short cut (matscipy): {row['rings_matscipy']}")
    print(json.dumps({"benchmark": "structure", "rows": rows}))


if __name__ == "__main__":
    main()
