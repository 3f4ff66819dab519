"""At which temperature does the liquid of the network trained on DFT boil at no pressure? Volumes over 0.12 ns.

python -m case_studies.amorphous_silicon.boil [--kelvin 2500 3000] [--samples 2]

64 atoms from the packings of `quench.py`, NPT, 2 fs; a run whose volume triples is stopped and says so.
"""

from __future__ import annotations

import argparse

from case_studies.amorphous_silicon.quench import DENSITY, NEAREST, potential_of
from iondiff.dynamics import random_packing, run
from iondiff.errors import MDUnstable

STEPS = 60_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kelvin", type=float, nargs="+", default=[2500.0, 3000.0])
    parser.add_argument("--samples", type=int, default=2)
    arguments = parser.parse_args()
    potential = potential_of("NNP(DFT)")
    for kelvin in arguments.kelvin:
        for sample in range(1, arguments.samples + 1):
            start = random_packing({"Si": 64}, DENSITY, distances=NEAREST, seed=sample)
            try:
                done = run(start, potential, "npt", 2.0, STEPS, kelvin, seed=sample + 100, every=500)
            except MDUnstable as error:
                print(f"{kelvin:g} K, sample {sample}: {error}", flush=True)
                continue
            volumes = done.log["volume_A3"] / len(start)
            print(
                f"{kelvin:g} K, sample {sample}: {volumes.mean():.1f} Å³ an atom, at most {volumes.max():.1f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
