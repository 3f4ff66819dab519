"""Dask in the place of the local pool: the same labels and rows; a worker killed meanwhile costs nothing."""

import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager

import pandas as pd
import pytest
from ase.build import bulk

import kmc
from iondiff.dynamics import Protocol, quench_series, random_packing
from iondiff.errors import RunError
from iondiff.graph_study import run_graph_study
from iondiff.potentials import StillingerWeber
from iondiff.processes import dask_executor
from iondiff.sampling import draw_points, label_points
from iondiff.studies import read_study

distributed = pytest.importorskip(
    "distributed", reason="Dask is not installed: pip install 'diffusion-network[dask]'"
)

pytestmark = pytest.mark.filterwarnings("default")  # Dask's own warnings are not ours to mend
QUICK = Protocol(
    melt_K=4000.0, final_K=1000.0, rate_K_per_s=1e16, melt_ps=0.4, most_melt_ps=6.0, anneal_ps=0.1, every=50,
    melted_A=0.4, relax_eV_A=0.1,
)  # fmt: skip
TEACHER = """
import time
from ase.calculators.emt import EMT


class SlowEMT(EMT):
    def calculate(self, atoms=None, properties=("energy",), system_changes=()):
        time.sleep(0.02)
        super().calculate(atoms, properties, system_changes)
"""


@pytest.fixture(scope="module")
def teacher(tmp_path_factory):
    """A folder with a slow calculator that worker processes can import."""
    folder = tmp_path_factory.mktemp("teacher")
    (folder / "dask_teacher.py").write_text(TEACHER)
    return folder


@pytest.fixture(scope="module")
def cluster(teacher):
    """Two worker processes and a scheduler in this one."""
    sys.path.insert(0, str(teacher))  # spawned workers get this process's path
    try:
        with distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None, host="127.0.0.1"
        ) as made:
            yield made
    finally:
        sys.path.remove(str(teacher))


@contextmanager
def separate(root, teacher, folder, workers=2):
    """A scheduler and workers started by themselves, as on a cluster, over loopback."""
    paths = os.pathsep.join([str(root), str(teacher)])
    environment = {**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1"}
    file = folder / "scheduler.json"
    log = (folder / "dask.log").open("w")
    common = {"env": environment, "stdout": log, "stderr": log}
    here = [sys.executable, "-m", "distributed.cli.dask_scheduler", "--host", "127.0.0.1", "--port", "0"]
    processes = [subprocess.Popen([*here, "--no-dashboard", "--scheduler-file", str(file)], **common)]
    wait_for(file.exists)
    each = [sys.executable, "-m", "distributed.cli.dask_worker", "--scheduler-file", str(file), "--no-nanny"]
    each += ["--nthreads", "1", "--no-dashboard", "--host", "127.0.0.1"]
    each += ["--local-directory", str(folder)]
    try:
        processes += [subprocess.Popen(each, **common) for _ in range(workers)]
        yield file, processes
    finally:
        for process in reversed(processes):
            process.kill()
            process.wait()
        log.close()


def wait_for(condition, seconds=120.0):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.02)


@pytest.fixture(scope="module")
def metal():
    atoms = bulk("Cu", "fcc", a=3.7).repeat((2, 2, 1))
    atoms.rattle(0.03, seed=2)
    return atoms


@pytest.fixture(scope="module")
def points(metal):
    return draw_points(metal, 10, (12, 12, 12), ((1.2, 1.0),), seed=3)[0]


def labelled(metal, points, folder, **kwargs):
    folder.mkdir(exist_ok=True)
    return label_points(
        metal, "Ni", points, "dask_teacher:SlowEMT", checkpoint=folder / "labels.jsonl", fmax=0.02, **kwargs
    )


def lines_in(path):
    return path.read_text().count("\n") if path.exists() else 0


@pytest.fixture
def local(metal, points, teacher, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(teacher)
    monkeypatch.setenv("PYTHONPATH", str(teacher))
    return labelled(metal, points, tmp_path / "local", workers=0)


def test_labels_and_sweeps_on_a_local_cluster(cluster, metal, points, local, tmp_path, load_beside):
    with distributed.Client(cluster) as client:
        executor = client.get_executor()
        found = labelled(metal, points, tmp_path / "dask", executor=executor)
        assert found.labels == local.labels
        ring = load_beside("long_work").ring()
        options = {"method": "walk", "n_walkers": 200, "n_hops": 5000, "seed": 7}
        there = kmc.sweep(ring, [400, 600, 800], executor=executor, **options)
        exact = kmc.sweep(ring, [400, 600, 800], executor=executor)
    pd.testing.assert_frame_equal(there, kmc.sweep(ring, [400, 600, 800], **options), check_exact=True)
    pd.testing.assert_frame_equal(exact, kmc.sweep(ring, [400, 600, 800]), check_exact=True)


def test_bands_and_studies_on_a_local_cluster(cluster, tmp_path, load_beside, undisturbed):
    """What a run and its shorter sisters send to an executor comes back as if it had been done here."""
    from iondiff import stages_network
    from iondiff.config import read_config
    from iondiff.stage_context import Context

    works = load_beside("long_work")
    finished = undisturbed("road")[0]
    for name in ("dask", "here"):
        (tmp_path / name).mkdir()
        for file in ("potential.nnp", "host.extxyz", "network.json"):
            (tmp_path / name / file).write_bytes((finished / "run" / file).read_bytes())
    kmc.write_graph(works.ring(), tmp_path / "graph.json")
    (tmp_path / "study.toml").write_text(
        '[graph]\nfile = "graph.json"\n[transport]\ntemperatures = [500, 700]\nwalkers = 100\nhops = 5000\n'
    )
    config, study = read_config(finished / "config.toml"), read_study(tmp_path / "study.toml")
    with distributed.Client(cluster) as client:
        executor = client.get_executor()
        for name, door in (("dask", executor), ("here", None)):
            stages_network.bands(Context(config, tmp_path / name, None, lambda *_: None, executor=door))
            run_graph_study(study, tmp_path / "study.toml", tmp_path / f"{name}-graph", executor=door)
        glasses = [
            quench_series(
                random_packing({"Si": 16}, density_g_cm3=2.3, seed=1), StillingerWeber(), [QUICK],
                tmp_path / f"{name}-glass", samples=2, seed=4, executor=door,
            )
            for name, door in (("dask", executor), ("here", None))
        ]  # fmt: skip
    assert (tmp_path / "dask" / "bands.json").read_bytes() == (tmp_path / "here" / "bands.json").read_bytes()
    rows = [(tmp_path / f"{name}-graph" / "diffusivity.csv").read_bytes() for name in ("dask", "here")]
    assert rows[0] == rows[1]
    for there, here in zip(*glasses, strict=True):
        assert there.energy_eV == here.energy_eV
        assert (there.atoms.positions == here.atoms.positions).all()


def test_a_killed_worker_of_separate_processes(root, teacher, metal, points, local, tmp_path):
    """SIGKILL of one of two workers while it labels: its points are done by the other."""
    with separate(root, teacher, tmp_path) as (file, processes):

        def kill_one():
            wait_for(lambda: lines_in(tmp_path / "killed" / "labels.jsonl") >= 3)
            os.kill(processes[1].pid, signal.SIGKILL)

        killer = threading.Thread(target=kill_one, daemon=True)
        killer.start()
        with dask_executor(str(file)) as executor:
            found = labelled(metal, points, tmp_path / "killed", executor=executor)
        killer.join()
        assert processes[1].wait(10) == -signal.SIGKILL
        assert processes[2].poll() is None
    assert found.labels == local.labels
    assert len({label.index for label in found.labels}) == len(points)


@pytest.mark.slow
def test_a_whole_run_by_the_command_line(root, teacher, tmp_path, load_beside):
    """`run --scheduler`, a worker killed in the middle: the same files as a run on this machine alone."""
    works = load_beside("long_work")
    works.ase.io.write(tmp_path / "host.extxyz", works.small_host())
    (tmp_path / "config.toml").write_text(works.CONFIG)
    command = [sys.executable, "-m", "iondiff", "run", str(tmp_path / "config.toml"), "--output"]
    environment = {**os.environ, "PYTHONPATH": str(root), "PYTHONWARNINGS": "ignore"}
    subprocess.run([*command, str(tmp_path / "alone"), "--workers", "0"], check=True, env=environment)
    with separate(root, teacher, tmp_path) as (file, processes):
        run = subprocess.Popen([*command, str(tmp_path / "dask"), "--scheduler", str(file)], env=environment)
        wait_for(lambda: lines_in(tmp_path / "dask" / "labels.jsonl") >= 5 or run.poll() is not None)
        processes[1].kill()
        assert run.wait(500) == 0
    for name in works.ROAD:
        alone, dask = ((tmp_path / folder / name).read_bytes() for folder in ("alone", "dask"))
        assert alone == dask, name


def test_nobody_at_the_address(monkeypatch):
    monkeypatch.setattr("iondiff.processes._PATIENCE", 1)
    with (
        pytest.raises(RunError, match=r"no Dask scheduler answers at tcp://127\.0\.0\.1:1"),
        dask_executor("tcp://127.0.0.1:1"),
    ):
        pass
