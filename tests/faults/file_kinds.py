"""Every kind of file that the suite reads: how a sound one is written, and how it is read and used.

One entry a kind; the tests of damaged files and of files from strangers run over all of them.
"""

import gzip
import importlib.util
import io
import json
import re
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ase.io
import networkx as nx
import numpy as np

import kmc
import search
from iondiff import cli_kmc
from iondiff.config import read_config
from iondiff.descriptors import check_host
from iondiff.errors import HostError, IondiffError
from iondiff.files import sealed
from iondiff.potentials import load
from iondiff.report import read_run
from iondiff.run_folder import RunFolder
from iondiff.sampling import LabelSet, _checkpoint, label_files, read_labels, write_labels
from iondiff.structures import read_structure
from iondiff.training.guest import _read_state, _write_state
from kmc import checkpoints

ROOT = Path(__file__).parents[2]
_SPEC = importlib.util.spec_from_file_location(
    "file_kinds_dense", Path(__file__).with_name("file_kinds_dense.py")
)
dense = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(dense)
CASE = ROOT / "case_studies" / "cu_ta2o5"
HOST = ase.io.read(CASE / "host.extxyz")


def _same(data: bytes) -> bytes:
    return data


@dataclass(frozen=True)
class Kind:
    """A kind of file.

    Attributes
    ----------
    name
        What the file is called.
    write
        Writes a sound one.
    read
        Reads and uses one, and returns something that compares equal where the content is the same.
    errors
        What may be raised, and nothing else.
    checked
        Whether any change is found by a checksum: what is read is then what was written. Where it is False
        the file is made by people, and the run folder keeps the checksum.
    heals
        Whether a damaged part is made again while it is read, so that the content is whole after all.
    redone
        What `read` returns where a damaged file is set aside and made again.
    opened, closed
        Take the outer checksums away so that mutations reach what is inside, and put them back.
    """

    name: str
    write: Callable[[Path], Any]
    read: Callable[[Path], Any]
    errors: tuple[type[Exception], ...]
    checked: bool = True
    heals: bool = False
    redone: Callable[[Any, Any], bool] = lambda found, whole: False
    opened: Callable[[bytes], bytes] = _same
    closed: Callable[[bytes, bytes], bytes] = lambda changed, whole: changed


# --- potentials


def _use_potential(path):
    potential = load(path)
    points = np.array([[1.0, 2.0, 3.0], [4.0, 0.5, 7.0]])
    try:
        energies = potential.landscape(HOST).energy_and_gradient(points)[0]
    except IondiffError:  # sound, and of another host
        energies = np.zeros(2)
    return potential.guest, potential.layers, potential.weights.tobytes(), energies.tobytes()


def _members(data):
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def _unzip(data):
    return b"".join(_members(data).values())


def _zip(changed, whole):
    """The members again with sound checksums; the last takes what is too much or too little."""
    buffer, place = io.BytesIO(), 0
    members = _members(whole)
    with zipfile.ZipFile(buffer, "w") as archive:
        for number, (name, content) in enumerate(members.items(), start=1):
            end = place + len(content) if number < len(members) else len(changed)
            archive.writestr(name, changed[place:end])
            place = end
    return buffer.getvalue()


def _unzip_or_same(data):
    return _unzip(data) if zipfile.is_zipfile(io.BytesIO(data)) else data


def _zip_or_same(changed, whole):
    return _zip(changed, whole) if zipfile.is_zipfile(io.BytesIO(whole)) else changed


# --- graphs


def _ring(sites=12):
    """Sites on a line that closes through a skewed cell."""
    rng = np.random.default_rng(0)
    energies, saddles = rng.normal(0, 0.1, sites), rng.uniform(0.3, 0.5, sites)
    cell = [[1.5 * sites, 0.0, 0.0], [0.4, 5.0, 0.0], [-0.3, 0.2, 4.0]]
    graph = nx.MultiDiGraph(schema="hopping-graph/1", cell=cell, guest="Li")
    for i in range(sites):
        graph.add_node(i, position=[1.5 * i, 0.0, 0.0], energy=float(energies[i]))
    for i in range(sites):
        j, over = (i + 1) % sites, int(i == sites - 1)
        for a, b, image in ((i, j, over), (j, i, -over)):
            barrier = float(saddles[i] - energies[a])
            place = [1.5 * i + 0.75, 0.1, 0.0]
            graph.add_edge(a, b, image=[image, 0, 0], barrier=barrier, prefactor=1e13, saddle_position=place)
    return graph


def _use_graph(path):
    graph = kmc.read_graph(path)
    tensor = kmc.diffusion_tensor(graph, 500.0)
    assert np.isfinite(tensor).all(), "a diffusion tensor that is not finite was returned without a word"
    return kmc.compile_graph(graph).barrier.tobytes(), tensor.tobytes()


def _without_comment(data):
    return re.sub(rb"<!-- sha256 .* -->\n", b"", data)


def _without_key(data):
    return re.sub(rb'"sha256": "[0-9a-f]*"', b'"note": ""', data)


# --- labels


def _some_labels():
    found = read_labels(CASE / "labels.jsonl.gz")
    return LabelSet(found.labels[:40], found.provenance)


def _use_labels(path):
    found = read_labels(path)
    assert np.isfinite(found.energies).all()
    assert np.isfinite(found.gradients).all()
    return len(found), found.energies.tobytes(), found.gradients.tobytes(), json.dumps(found.provenance)


def _without_crc(data):
    return re.sub(rb', "crc": \d+', b"", data)


def _gunzip(data):
    return _without_crc(gzip.decompress(data))


def _write_hessian(path):
    _checkpoint.write_hessian(path, np.random.default_rng(0).normal(size=(12, 12)))


# --- checkpoints

STATE = checkpoints.WalkState(
    3, np.arange(8, dtype=np.uint64), np.arange(8, dtype=np.uint64), np.ones((8, 4, 3), np.int64),
    np.ones((8, 4)), np.ones((8, 4)), np.zeros((8, 4), np.int64),
)  # fmt: skip


def _use_walk(path):
    state = checkpoints._load(path, "me", STATE)
    return state.done, *(getattr(state, name).tobytes() for name in checkpoints._ARRAYS)


def _write_training(path):
    from iondiff.training._levenberg import State

    _write_state(path, State(np.arange(9.0), 1.0, 30, np.arange(9.0), 0.5, 20), "task")


def _use_training(path):
    state = _read_state(path, "task", (9,))
    return None if state is None else (state.weights.tobytes(), state.iteration, state.best_loss)


class _Waves:
    cell = np.eye(3) * 4.0

    def energy_and_gradient(self, points):
        return np.cos(points).sum(axis=1), -np.sin(points)


_POINTS = np.random.default_rng(1).random((30, 3))


def _write_answers(path):
    search.RememberedLandscape(_Waves(), path, batch=10).energy_and_gradient(_POINTS)


def _use_answers(path):
    energies, gradients = search.RememberedLandscape(_Waves(), path, batch=10).energy_and_gradient(_POINTS)
    return energies.tobytes(), gradients.tobytes()


def _write_record(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    with RunFolder(path.parent) as folder:
        (path.parent / "out.txt").write_text("out")
        folder.mark_done("train", "key", ("out.txt",), 1.5)
        (path.parent / "stages" / "train.json").replace(path)


def _use_record(path):
    """A folder with this record: is the stage done, and how long did it take?"""
    with RunFolder(path.parent) as folder:
        (path.parent / "out.txt").write_text("out")
        (path.parent / "stages" / "train.json").write_bytes(path.read_bytes())
        return folder.is_done("train", "key", ("out.txt",)), folder.seconds(), folder.damaged()


JOB = cli_kmc._Job("graph", "exact", None, 1.0, 10, 10, 0)


def _use_rows(path):
    return cli_kmc._kept_rows(path, JOB)


def _write_rows(path):
    path.write_text(json.dumps(sealed({"identity": JOB.identity, "rows": {"500.0": {"D": 1.5e-9}}})))


# --- structures and configurations


def _use_structure(path):
    atoms = read_structure(path)
    check_host(atoms)
    return str(atoms.symbols), atoms.positions.tobytes(), atoms.cell.array.tobytes()


def _writes_structure(kind):
    def write(path):
        atoms = HOST.copy()
        if kind == "vasp":
            atoms = atoms[np.argsort(atoms.numbers)]
        ase.io.write(path, atoms, format=kind)

    return write


def _use_config(path):
    return read_config(path).model_dump_json()


# --- files of a run folder, as the report reads them

SUMMARY = {
    "activation_energy_eV": 0.5, "activation_energy_error_eV": 0.1, "D0_cm2_s": 1e-3,
    "percolation": {"rank": 3, "barrier_1d_eV": 0.4, "barrier_2d_eV": 0.4, "barrier_3d_eV": 0.5},
    "notes": ["none"], "activation_energy_exact_eV": {"500.0": 0.5},
}  # fmt: skip


def _write_transport(path):
    folder = path.parent
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.toml").write_text((CASE / "config.toml").read_text())
    ase.io.write(folder / "host.extxyz", HOST)
    kmc.write_graph(_ring(), folder / "network.json")
    (folder / "diffusivity.csv").write_text("temperature,D,D_error,method\n500.0,1e-9,0.0,exact\n")
    with RunFolder(folder) as held:
        path.write_text(json.dumps(SUMMARY, indent=1))
        held.mark_done("transport", "key", (path.name,), 1.0)


def _use_transport(path):
    if not (path.parent / "config.toml").exists():
        _write_transport(path.with_name("sound.json"))
        with RunFolder(path.parent) as held:
            held.mark_done("transport", "key", ("sound.json",), 1.0)
        record = json.loads((path.parent / "stages" / "transport.json").read_text())
        record["outputs"] = {"transport.json": record["outputs"]["sound.json"]}
        (path.parent / "stages" / "transport.json").write_text(json.dumps(sealed(record)))
    if path.name != "transport.json":
        (path.parent / "transport.json").write_bytes(path.read_bytes())
    return read_run(path.parent).transport.model_dump_json()


def _write_labels(path):
    write_labels(path, _some_labels())


def _write_checkpoint(path):
    found = _some_labels()
    lines = [label_files.format_header(found.provenance), *map(label_files.format_label, found.labels)]
    path.write_text("\n".join(lines) + "\n")


KINDS = {
    "potential": Kind(
        "cu.nnp", lambda path: path.write_bytes((CASE / "cu.nnp").read_bytes()), _use_potential,
        (IondiffError,), opened=_unzip, closed=_zip,
    ),
    "graph": Kind(
        "network.json", lambda path: kmc.write_graph(_ring(), path), _use_graph, (kmc.GraphError,),
        opened=_without_key,
    ),
    "graphml": Kind(
        "network.graphml", lambda path: kmc.write_graph(_ring(), path), _use_graph, (kmc.GraphError,),
        opened=_without_comment,
    ),
    "labels": Kind(
        "labels.jsonl.gz", _write_labels, _use_labels, (IondiffError,), opened=_gunzip,
        closed=lambda changed, whole: gzip.compress(changed, 1),
    ),
    "label checkpoint": Kind(
        "labels.jsonl", _write_checkpoint, _use_labels, (IondiffError,), opened=_without_crc,
        # A file cut between two lines is a checkpoint of fewer labels; the rest is computed again.
        redone=lambda found, whole: found[0] < whole[0] and whole[1].startswith(found[1]),
    ),
    "hessian": Kind(
        "labels.jsonl.hessian.npy", _write_hessian, lambda path: _checkpoint.read_hessian(path).tobytes(),
        (IondiffError,),
    ),
    "walk": Kind(
        "walk.npz", lambda path: checkpoints._save(path, "me", STATE), _use_walk, (kmc.GraphError,),
        opened=_unzip, closed=_zip,
    ),
    "training": Kind(
        "train.member0.npz", _write_training, _use_training, (), opened=_unzip, closed=_zip,
        redone=lambda found, whole: found is None,
    ),
    "answers": Kind("answers", _write_answers, _use_answers, (search.SearchError,), heals=True),
    "stage record": Kind(
        "train.json", _write_record, _use_record, (),
        redone=lambda found, whole: found == (False, {}, []),
    ),
    "unfinished table": Kind("d.csv.unfinished", _write_rows, _use_rows, (kmc.GraphError,)),
    "file of a run": Kind("transport.json", _write_transport, _use_transport, (IondiffError,)),
    "configuration": Kind(
        "config.toml", lambda path: path.write_bytes((CASE / "config.toml").read_bytes()), _use_config,
        (IondiffError,), checked=False,
    ),
    "extxyz": Kind("host.extxyz", _writes_structure("extxyz"), _use_structure, (HostError,), checked=False),
    "cif": Kind("host.cif", _writes_structure("cif"), _use_structure, (HostError,), checked=False),
    "poscar": Kind("POSCAR", _writes_structure("vasp"), _use_structure, (HostError,), checked=False),
    "trajectory": Kind(
        "run.iontraj", dense.write_trajectory, dense.use_trajectory, (IondiffError,), redone=dense.shorter
    ),
    "dynamics checkpoint": Kind(
        "run.checkpoint", dense.write_checkpoint, dense.use_checkpoint, (IondiffError,), opened=_unzip_or_same,
        closed=_zip_or_same,
    ),
    "potential of all atoms": Kind(
        "li.nnp", dense.write_hdnnp, dense.use_hdnnp, (IondiffError,), opened=_unzip, closed=_zip
    ),
    "input.nn": Kind("input.nn", dense.writes_n2p2("input.nn"), dense.use_n2p2, (IondiffError,), checked=False),
    "scaling.data": Kind(
        "scaling.data", dense.writes_n2p2("scaling.data"), dense.use_n2p2, (IondiffError,), checked=False
    ),
    "weights": Kind(
        "weights.003.data", dense.writes_n2p2("weights.003.data"), dense.use_n2p2, (IondiffError,), checked=False
    ),
    "input.data": Kind(
        "input.data", dense.write_input_data, dense.use_input_data, (IondiffError,), checked=False
    ),
    "study": Kind("study.toml", dense.write_study, dense.use_study, (IondiffError,), checked=False),
    "training configuration": Kind(
        "si.toml", dense.write_training, dense.use_training, (IondiffError,), checked=False
    ),
    "literature": Kind("d.csv", dense.write_literature, dense.use_literature, (IondiffError,), checked=False),
    "row of a study": Kind(
        "row.json", dense.write_row, dense.use_row, (), redone=lambda found, whole: found is None
    ),
    "traj": Kind("host.traj", _writes_structure("traj"), _use_structure, (HostError,), checked=False),
}  # fmt: skip
