"""How far do the error bars of diffusivities reach? Motions other than those of `benchmarks.diffusivity`.

python -m benchmarks.diffusivity_range [--trajectories 200] [--only KIND]

Sizes from one ion to hundreds, 20 to 5000 frames; relaxations fast and slow, hops that go back, inertia,
vibrations, ions in groups, cells that swing. Columns as there; last, one JSON line.
"""

from __future__ import annotations

import argparse
import json
import warnings

import numpy as np
from scipy.signal import lfilter

from benchmarks import trajectories as T  # noqa: N812
from iondiff.analysis import NotDiffusiveError, diffusivity

DIFFUSION = 0.05  # Å²/ps


def relaxing(rng, shape, spread, tau):
    """Stationary overdamped motion along the first axis (frames)."""
    memory = np.exp(-1.0 / tau)
    kicks = rng.normal(0.0, spread, shape)
    kicks[1:] *= np.sqrt(1.0 - memory**2)
    return lfilter([1.0], [1.0, -memory], kicks, axis=0)


def tied(rng, frames, atoms, tau, D=0.02, spread=0.3):
    walk, _ = T.brownian(rng, frames, atoms, D)
    return walk + relaxing(rng, walk.shape, spread, tau), D


def hops(rng, frames, atoms, rate, back=0.0, hop=2.5):
    options = {"rate": rate, "hop": hop, "back": back, "spread": 0.1, "relaxation": 0.0}
    return T.cages(rng, frames, atoms, **options)


def inertial(rng, frames, atoms, tau, speed=0.3):
    """Velocities that forget in `tau`, integrated in a hundred short steps a `tau` at least."""
    fine = max(1, int(np.ceil(20.0 / tau)))
    velocity = relaxing(rng, (frames * fine, atoms, 3), speed, tau * fine)
    memory = np.exp(-1.0 / (tau * fine))
    D = speed**2 * (1.0 + memory) / (1.0 - memory) / 2.0 / fine
    return np.cumsum(velocity / fine, axis=0)[::fine], D


def vibrating(rng, frames, atoms, period, damping, rate=0.05, spread=0.25):
    walk, D = hops(rng, frames, atoms, rate, hop=2.0)
    r = np.exp(-1.0 / damping)
    kicks = rng.normal(size=(frames + 200, atoms, 3))
    swing = lfilter([1.0], [1.0, -2.0 * r * np.cos(2.0 * np.pi / period), r * r], kicks, axis=0)[200:]
    return walk + spread * swing / swing.std(), D


def groups(rng, frames, atoms, size):
    walk, D = T.brownian(rng, frames, atoms // size, DIFFUSION)
    walk = np.repeat(walk, size, axis=1)
    return walk + rng.normal(0.0, 0.05, walk.shape), D


def sharing(rng, frames, atoms, share):
    own, _ = T.brownian(rng, frames, atoms, DIFFUSION * (1.0 - share))
    return own + T.brownian(rng, frames, 1, DIFFUSION * share)[0], DIFFUSION


def mixed(rng, frames, atoms):
    mobile = rng.random(atoms) > 0.5
    mobile[0] = True
    walk, D = T.brownian(rng, frames, atoms, DIFFUSION)
    return walk * mobile[:, None] + rng.normal(0.0, 0.1, walk.shape), D * mobile.mean()


def swinging(rng, frames, atoms, amplitude, period=200.0):
    walk, D = T.brownian(rng, frames, atoms, DIFFUSION)
    return walk + amplitude * np.sin(np.arange(frames) / period * 2.0 * np.pi)[:, None, None], D


def sized(maker, sizes, **options):
    return [(maker, {"frames": frames, "atoms": atoms, **options}) for frames, atoms in sizes]


CASES = {
    "Brownian": sized(T.brownian, [(20, 4), (20, 64), (30, 16), (50, 2), (50, 100), (100, 1), (100, 8), (200, 1),
                                   (200, 32), (500, 1), (500, 200), (2000, 1), (2000, 8)]),
    "Brownian, noise": sized(T.brownian, [(100, 8), (300, 1), (1000, 4)], noise=0.7),
    "relaxation 1": sized(tied, [(500, 16)], tau=1.0),
    "relaxation 3": sized(tied, [(500, 16), (2000, 4)], tau=3.0),
    "relaxation 10": sized(tied, [(1000, 16), (3000, 16)], tau=10.0),
    "relaxation 30, hidden": sized(tied, [(2000, 16)], tau=30.0),
    "one ion, relaxation 2": sized(tied, [(1000, 1)], tau=2.0),
    "cages": sized(T.cages, [(500, 8), (1000, 4)], rate=0.05) + sized(T.cages, [(1000, 64)], relaxation=5.0),
    "one ion in cages": sized(T.cages, [(2000, 1)], relaxation=3.0),
    "hops": sized(hops, [(1000, 1), (500, 32)], rate=0.03),
    "hops, back": sized(hops, [(2000, 8)], rate=0.02, back=0.3) + sized(hops, [(1000, 32)], rate=0.05, back=0.5),
    "hops, back, 8 an ion": sized(hops, [(400, 100)], rate=0.02, back=0.2),
    "inertia": sized(inertial, [(500, 16), (2000, 32)], tau=2.0),
    "vibrations": sized(vibrating, [(1000, 8)], period=3.0, damping=20.0),
    "groups": sized(groups, [(500, 16)], size=4) + sized(groups, [(500, 64)], size=8),
    "sharing 20 %": sized(sharing, [(500, 16)], share=0.2),
    "mobile and immobile": sized(mixed, [(500, 16)]),
    "swinging cell": sized(swinging, [(1000, 16)], amplitude=2.0),
}  # fmt: skip


def measured(name: str, maker, options: dict, count: int) -> dict[str, object]:
    rng = np.random.default_rng([len(name), options["frames"], options["atoms"]])
    inside, refused, values, errors = 0, 0, [], []
    for _ in range(count):
        walk, D = maker(rng, **options)
        try:
            found = diffusivity(walk, timestep_ps=1.0)
        except NotDiffusiveError:
            refused += 1
            continue
        low, high = np.array(found.interval(0.95)) / (D * T.CM2_PER_S)
        inside += low < 1.0 < high
        values.append(float(found.value) / (D * T.CM2_PER_S))
        errors.append(float(found.error) / (D * T.CM2_PER_S))
    kept = max(len(values), 1)
    return {
        "kind": name, **options, "coverage": inside / kept, "refused": refused / count,
        "bias": float(np.mean(values)) - 1.0, "spread": float(np.std(values)), "error": float(np.median(errors)),
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trajectories", type=int, default=200)
    parser.add_argument("--only", default="")
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    columns = ("coverage", "refused", "bias", "spread", "error")
    print(f"{'kind':26}{'frames':>8}{'atoms':>7}" + "".join(f"{name:>10}" for name in columns))
    rows = []
    for name, cases in CASES.items():
        for maker, options in cases if given.only in name else ():
            row = measured(name, maker, options, given.trajectories)
            rows.append(row)
            numbers = "".join(f"{row[c]:10.4f}" for c in columns)
            print(f"{name:26}{row['frames']:>8}{row['atoms']:>7}{numbers}", flush=True)
    print(json.dumps({"benchmark": "diffusivity_range", "rows": rows}))


if __name__ == "__main__":
    main()
