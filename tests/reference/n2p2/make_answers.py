"""Makes tests/iondiff/data/n2p2_answers.json.gz: small potentials in n2p2's format, and n2p2's numbers for them.

Between them they have every type of symmetry function, cutoff, scaling and activation that n2p2 knows.
Run as ``python -m tests.reference.n2p2.make_answers N2P2_PREDICT``, with the program built from predict.cpp.
Sets with which n2p2 itself stops are drawn again.
"""

import gzip
import itertools
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from iondiff.potentials import load
from iondiff.potentials.n2p2_data import read_structures
from iondiff.potentials.structure import surroundings
from iondiff.potentials.torch_path import TorchHDNNP

TARGET = Path(__file__).parents[2] / "iondiff" / "data" / "n2p2_answers.json.gz"
NUMBERS = {"H": 1, "O": 8, "S": 16, "Cu": 29}
ACTIVATIONS = ["t t l", "p s l", "g c l", "S e l", "h p l", "r t l", "t t t", "s g p", "c S l"]
SCALINGS = [
    ["scale_symmetry_functions"],
    ["scale_symmetry_functions", "center_symmetry_functions"],
    ["center_symmetry_functions"],
    ["scale_symmetry_functions_sigma"],
    [],
]
CELLS = [
    ([[6.1, 0.3, -0.4], [1.9, 5.2, 0.6], [-1.1, 0.8, 5.9]], True),
    ([[5.2, 0.2, 0], [0.3, 3.4, 0.5], [-1.1, 0.4, 4.9]], True),  # smaller than the cutoff
    ([[5, 0, 0], [0, 5, 0], [0, 0, 5]], False),
]
HIDDEN = (4, 3)
NORMALISATION = ["mean_energy -3.25", "conv_energy 2.5", "conv_length 1.7"]


def short(value):
    return float(f"{value:.6g}")


def exponential(generator, elements):
    """Types 2, 3, 9, 12, 13 with random parameters."""

    def draw(low, high):
        return short(generator.uniform(low, high))

    def one(*values):
        return generator.choice(values)

    lines = []
    for c in elements:
        lines += [f"{c} 2 {e} {draw(0.05, 1.2)} {draw(0, 2.5)} {one(4.2, 5.0)}" for e in elements]
        for a, b in itertools.combinations_with_replacement(elements, 2):
            zeta, lam, cutoff = one(1.0, 2.0, 4.0, 1.5, 3.0), one(-1.0, 1.0), one(4.2, 5.0)
            lines.append(f"{c} 3 {b} {a} {draw(0.01, 0.2)} {lam} {zeta} {cutoff} {draw(0, 1)}")
            zeta, lam, cutoff = one(1.0, 2.0, 6.0, 2.5), one(-1.0, 1.0), one(4.2, 5.0)
            lines.append(f"{c} 9 {a} {b} {draw(0.01, 0.2)} {lam} {zeta} {cutoff}")
        lines.append(f"{c} 12 {draw(0.05, 1.2)} {draw(0, 2)} {one(4.2, 5.0)}")
        lam, zeta, cutoff = one(-1.0, 1.0), one(1.0, 2.0, 3.5), one(4.2, 5.0)
        lines.append(f"{c} 13 {draw(0.01, 0.1)} {draw(0, 1)} {lam} {zeta} {cutoff}")
    generator.shuffle(lines)
    return lines


def polynomial(generator, elements, core):
    """Types 20 to 25, bells around the centre and away from it, angles around 0 and 180 degrees."""
    lines = []
    for c in elements:
        for e in elements:
            lines += [f"{c} 20 {e} {span} {core}" for span in ("-4.5 4.5", "0.6 4.1", "-3.0 5.1")]
        for a, b in itertools.combinations_with_replacement(elements, 2):
            lines += [
                f"{c} 21 {a} {b} -5.0 5.0 -90.0 90.0 {core}",
                f"{c} 21 {a} {b} 0.3 4.8 20.0 150.0 {core}",
            ]
            lines += [
                f"{c} 22 {b} {a} 0.4 4.6 60.0 300.0 {core}",
                f"{c} 22 {b} {a} 0.4 4.6 40.0 130.0 {core}",
            ]
        lines += [f"{c} 23 0.5 4.4 {core}", f"{c} 24 -5.0 5.0 0.0 180.0 {core}"]
        lines.append(f"{c} 25 0.7 4.9 -120.0 120.0 {core}")
    generator.shuffle(lines)
    return lines


def structures(generator, elements):
    lines = []
    for (cell, periodic), count in zip(CELLS, (6, 4, 6), strict=True):
        points = []
        while len(points) < count:
            trial = np.round(generator.random(3) @ np.array(cell), 5)
            images = [np.array(s) @ np.array(cell) for s in itertools.product((-1, 0, 1), repeat=3)]
            if all(min(np.linalg.norm(trial - p + image) for image in images) > 1.0 for p in points):
                points.append(trial)
        lines.append("begin")
        lines += ["lattice " + " ".join(map(str, vector)) for vector in cell if periodic]
        for k, (x, y, z) in enumerate(points):
            lines.append(f"atom {x} {y} {z} {elements[k % len(elements)]} 0 0 0 0 0")
        lines += ["energy 0.0", "charge 0.0", "end"]
    return "\n".join(lines) + "\n"


def statistics(folder):
    """Ranges that the structures leave a little, so that networks work where they bend."""
    potential = load(folder)
    frames = read_structures(folder / "input.data")
    around = [surroundings(atoms, potential.species, potential.cutoff) for atoms in frames]
    raw = [answer[3] for answer in TorchHDNNP(potential).evaluate(around)]
    lines = ["# element, function, minimum, maximum, mean, sigma"]
    for e in range(len(potential.species)):
        for k, G in enumerate(np.concatenate([values[e] for values in raw]).T, start=1):
            width = max(np.ptp(G), 1e-3)
            low, high = short(G.min() + 0.1 * width), short(G.min() + 1.05 * width)
            lines.append(f"{e + 1} {k} {low} {high} {short(G.mean())} {short(max(G.std(), 1e-3))}")
    return "\n".join(lines) + "\n"


def answer(program, generator, elements, functions, cutoff, activations, extra):
    """One potential and what n2p2 says, or None where n2p2 stops."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        ordered = sorted(elements, key=NUMBERS.get)
        counts = {e: sum(line.split()[0] == e for line in functions) for e in ordered}
        head = [f"number_of_elements {len(elements)}", "elements " + " ".join(elements)]
        head += [f"cutoff_type {cutoff}  # comment", f"global_hidden_layers_short {len(HIDDEN)}"]
        head += ["global_nodes_short " + " ".join(map(str, HIDDEN)), "global_activation_short " + activations]
        lines = [*head, *extra, *(f"symfunction_short {line}" for line in functions)]
        (folder / "input.nn").write_text("\n".join(lines) + "\n")
        for e in ordered:
            numbers = []
            for a, b in itertools.pairwise((counts[e], *HIDDEN, 1)):
                numbers += [short(x) for x in generator.normal(size=a * b) * 0.5 / np.sqrt(a)]
                numbers += [short(x) for x in generator.normal(size=b) * 0.3]
            (folder / f"weights.{NUMBERS[e]:03d}.data").write_text("\n".join(map(str, numbers)) + "\n")
        dummy = [f"{i} {k + 1} 0 1 0.5 1" for i, e in enumerate(ordered, start=1) for k in range(counts[e])]
        (folder / "scaling.data").write_text("\n".join(dummy) + "\n")
        (folder / "input.data").write_text(structures(generator, elements))
        (folder / "scaling.data").write_text(statistics(folder))
        done = subprocess.run([program, str(folder)], capture_output=True, text=True, check=False)
        if done.returncode != 0:
            return None
        found = []
        for line in done.stdout.splitlines():
            if line.startswith("structure"):
                found.append({"energy": float(line.split()[1]), "forces": []})
            else:
                found[-1]["forces"].append([float(x) for x in line.split()])
        return {"files": {p.name: p.read_text() for p in sorted(folder.iterdir())}, "n2p2": found}


def main():
    program = sys.argv[1]
    generator = np.random.default_rng(7)
    answers = {}

    def add(name, *arguments):
        while answers.get(name) is None:
            elements, draw, *rest = arguments
            answers[name] = answer(program, generator, elements, draw(), *rest)

    for k in range(9):
        extra = [*SCALINGS[k % 5], "scale_min_short -0.5", "scale_max_short 1.5"]
        extra += ["normalize_nodes", "atom_energy Cu -1.25", "atom_energy S 0.5"] if k % 3 == 0 else []
        extra += NORMALISATION if k % 4 == 1 else []
        elements = ["S", "Cu"]
        cutoff = f"{k} {0.25 if k else 0.0}"
        add(
            f"cutoff{k}", elements, lambda: exponential(generator, ["S", "Cu"]), cutoff, ACTIVATIONS[k], extra
        )
    for k, core in enumerate(["p1", "p2", "p3", "p4", "p1a", "p2a", "p3a", "p4a", "e"]):
        extra = SCALINGS[(k + 1) % 5] + (NORMALISATION if k % 2 else [])

        def draw(core=core):
            return polynomial(generator, ["O", "H"], core)

        add(core, ["O", "H"], draw, "6 0.0", ACTIVATIONS[-1 - k], extra)
    TARGET.write_bytes(gzip.compress(json.dumps(answers).encode(), mtime=0))


if __name__ == "__main__":
    main()
