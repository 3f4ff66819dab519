"""Kinds of file of the rooms for dense carriers: trajectories, potentials of all atoms, n2p2's files, studies.

How each is written and read; `file_kinds.py` makes them into entries of its table.
"""

import functools
import json
import tempfile
from pathlib import Path

import numpy as np
from ase.build import bulk
from ase.calculators.singlepoint import SinglePointCalculator

from iondiff.dynamics import Trajectory, run
from iondiff.files import sealed
from iondiff.graph_study import _kept
from iondiff.literature import read_literature
from iondiff.potentials import Committee, StillingerWeber, load
from iondiff.potentials.n2p2_data import read_structures, write_structures
from iondiff.studies import read_study
from iondiff.training import read_training_config

ROOT = Path(__file__).parents[2]
ELEMENTS = ROOT / "case_studies" / "elements"


def silicon():
    atoms = bulk("Si", cubic=True)
    atoms.rattle(0.05, seed=1)
    return atoms


def lithium():
    atoms = bulk("Li", cubic=True)
    atoms.rattle(0.05, seed=1)
    return atoms


def go(**where):
    return run(silicon(), StillingerWeber(), "nvt", 1.0, 40, temperature=900, seed=1, every=2, **where)


def write_trajectory(path):
    go(trajectory=path, checkpoint=path.with_name("apart"))


def use_trajectory(path):
    """How many frames, their bytes, and whether something is said to be lost."""
    frames = Trajectory(path)
    positions = frames.positions() if len(frames) else np.zeros((0, 8, 3))
    assert np.isfinite(positions).all()
    return len(frames), positions.tobytes(), bool(frames.damage)


def shorter(found, whole):
    """Less than the whole, said to be less, and what there is of it right."""
    return found[2] and found[0] < whole[0] and whole[1].startswith(found[1])


def write_checkpoint(path):
    go(checkpoint=path)


def use_checkpoint(path):
    return go(checkpoint=path).atoms.positions.tobytes()


def write_hdnnp(path):
    path.write_bytes((ELEMENTS / "Li.nnp").read_bytes())


def use_hdnnp(path):
    return _asked(load(path))


def _asked(potential):
    (answer,) = potential.evaluate([lithium()])
    assert np.isfinite(answer.energy)
    assert np.isfinite(answer.forces).all()
    return answer.energy, answer.forces.tobytes()


@functools.cache
def directory():
    """The files of one network as n2p2 would write them."""
    potential = load(ELEMENTS / "Li.nnp")
    lead = potential.members[0] if isinstance(potential, Committee) else potential
    with tempfile.TemporaryDirectory() as name:
        lead.export_n2p2(name)
        return {path.name: path.read_bytes() for path in sorted(Path(name).iterdir())}


def writes_n2p2(name):
    return lambda path: path.write_bytes(directory()[name])


def use_n2p2(path):
    """The directory with this file in the place of its own."""
    for name, data in directory().items():
        if name != path.name:
            (path.parent / name).write_bytes(data)
    return _asked(load(path.parent))


def write_input_data(path):
    atoms = lithium()
    atoms.calc = SinglePointCalculator(atoms, energy=-1.5, forces=0.1 * atoms.positions)
    write_structures(path, [atoms] * 2)


def use_input_data(path):
    return [(str(a.symbols), a.positions.tobytes(), a.cell.array.tobytes()) for a in read_structures(path)]


GRAPH_STUDY = """seed = 3
[graph]
file = "network.json"
[transport]
temperatures = [400, 600.5]
methods = ["exact", "walk"]
[carriers]
counts = [1, 8]
replicate = [2, 2, 2]
"""


def write_study(path):
    path.write_text(GRAPH_STUDY)


def use_study(path):
    return read_study(path).model_dump_json()


def write_training(path):
    path.write_bytes((ELEMENTS / "Si.toml").read_bytes())


def use_training(path):
    return read_training_config(path).model_dump_json()


def write_literature(path):
    path.write_text("temperature,D,source\n300,1e-9,A\n400.5,2.5e-8,B\n")


def use_literature(path):
    return read_literature(path).to_csv()


def write_row(path):
    path.write_text(json.dumps(sealed({"row": {"temperature": 500.0, "D": 1.5e-9}})))


def use_row(path):
    return _kept(path)
