"""Searches that are killed outright and started again with their checkpoint."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

WORK = """
import json, os, signal, sys
import numpy as np
from ase.build import add_adsorbate, bulk, fcc100
from ase.calculators.emt import EMT
from ase.constraints import FixAtoms
from ase.optimize import BFGS
import search
from tests.search.landscapes import Cosines
from tests.search.test_relaxation import rigid_network

kind, file, left = sys.argv[1], sys.argv[2], int(sys.argv[3])
done = 0

def count():
    global left, done
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    left, done = left - 1, done + 1

class Calculator(EMT):
    def calculate(self, *args, **kwargs):
        count()
        super().calculate(*args, **kwargs)

class Landscape(Cosines):
    def energy_and_gradient(self, points):
        count()
        return super().energy_and_gradient(points)

def adatom(place):
    slab = fcc100("Al", size=(2, 2, 2))
    add_adsorbate(slab, "Cu", 1.7, "hollow")
    slab.center(axis=2, vacuum=4.0)
    slab.set_constraint(FixAtoms(mask=[atom.tag > 0 for atom in slab]))
    slab.positions[-1, 0] += place * slab.cell[0, 0] / 2
    slab.calc = EMT()
    BFGS(slab, logfile=None).run(fmax=0.005)
    return slab

quick = search.neb.Settings(n_images=5, fmax=0.02)
if kind == "network":
    landscape = Landscape(np.array([[4.0, 0, 0], [1, 4, 0], [0, 1, 4]]), [0.1, 0.2, 0.3])
    made = search.build_network(landscape, grid=(12, 12, 12), checkpoint=file)
    answer = [d["barrier"] for *_, d in made.edges(data=True)]
elif kind == "vacancy":
    made = search.vacancy_network(
        bulk("Al"), "Al", Calculator(), cutoff=3.0, settings=quick, checkpoint=file
    )
    answer = [d["barrier"] for *_, d in made.edges(data=True)]
elif kind == "bands":
    bands = search.neb.with_calculator([(adatom(0), adatom(1))], Calculator(), quick, checkpoint=file)
    answer = [band.energies.tolist() for band in bands]
elif kind == "saddles":
    found = search.saddle_searches([adatom(0)], Calculator(), searches=3, seed=1, checkpoint=file)
    answer = [[saddle.energy, saddle.curvature] for saddle in found.saddles]
else:
    made = search.relax_network(
        rigid_network(), bulk("Al", cubic=True), Calculator(), settings=quick, checkpoint=file
    )
    answer = [d["barrier"] for *_, d in made.edges(data=True)]
print(json.dumps({"answer": answer, "done": done}))
"""


def run(kind, file, left):
    root = Path(__file__).parents[2]
    environment = {**os.environ, "PYTHONPATH": str(root)}
    command = [sys.executable, "-W", "ignore", "-c", WORK, kind, str(file), str(left)]
    return subprocess.run(command, env=environment, cwd=root, capture_output=True, text=True, check=False)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["network", "vacancy", "bands", "saddles", "relaxed"])
def test_killed_and_started_again_it_goes_on_to_the_same_answer(kind, tmp_path):
    whole = json.loads(run(kind, tmp_path / "whole", -1).stdout)
    half = whole["done"] // 2
    assert run(kind, tmp_path / "kept", half).returncode == -9
    again = json.loads(run(kind, tmp_path / "kept", -1).stdout)
    # One answer is asked anew to see that the file belongs to the calculator, and one was under way.
    assert again["done"] <= whole["done"] - half + 2
    for one, other in zip(again["answer"], whole["answer"], strict=True):
        np.testing.assert_allclose(one, other, atol=1e-8)
