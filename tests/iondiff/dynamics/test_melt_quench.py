"""Packing, melting, cooling: what has to come out, what has to be said, and the same bits after an interruption."""

import os
import signal
import subprocess
import sys
import textwrap
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from ase.build import bulk
from ase.io import read
from ase.neighborlist import neighbor_list

from iondiff.analysis.structure import coordination, density, order
from iondiff.dynamics import Protocol, melt_quench, quench_series, random_packing, relax
from iondiff.dynamics.melt_quench import _judge
from iondiff.errors import DynamicsError, HostError, PotentialError
from iondiff.potentials import ZBL, Hybrid, load
from iondiff.potentials.classical import StillingerWeber
from iondiff.processes import dask_executor

ROOT = Path(__file__).parents[3]
FAST = Protocol(
    melt_K=3500.0, final_K=500.0, rate_K_per_s=2e15, melt_ps=1.5, most_melt_ps=6.0, anneal_ps=0.3, timestep_fs=1.5,
    ensemble="nvt", every=50,
)  # fmt: skip


def silicon():
    return bulk("Si", cubic=True) * 2


def test_a_packing_keeps_its_distances_and_its_density():
    atoms = random_packing({"Si": 40, "O": 80}, density_g_cm3=2.2, seed=3)
    assert density(atoms) == pytest.approx(2.2)
    assert atoms.get_chemical_symbols().count("O") == 80
    i, j, d = neighbor_list("ijd", atoms, 2.0)
    limits = {("Si", "Si"): 0.98 * 0.8 * 2.22, ("O", "Si"): 0.98 * 0.8 * 1.77, ("O", "O"): 0.98 * 0.8 * 1.32}
    for a, b, distance in zip(i, j, d, strict=True):
        assert distance > limits[tuple(sorted((atoms[a].symbol, atoms[b].symbol)))] - 1e-9
    again = random_packing({"Si": 40, "O": 80}, density_g_cm3=2.2, seed=3)
    assert np.array_equal(atoms.positions, again.positions)
    tight = random_packing({"Li": 10}, cell=[[8, 0, 0], [3, 7, 0], [1, 2, 6]], distances={"Li-Li": 2.5})
    assert neighbor_list("d", tight, 4.0).min() > 2.45


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (
            {"composition": {"Si": 15}, "density_g_cm3": 30.0},
            r"cannot be packed: the nearest pair reached \d+%.*would do",
        ),
        ({"composition": {"Xx": 60}, "density_g_cm3": 3.0}, "composition is"),
        ({"composition": {"Si": 2.5}, "density_g_cm3": 3.0}, "whole numbers"),
        ({"composition": {"Si": 2}}, "either density_g_cm3 or cell"),
        ({"composition": {"Si": 2}, "density_g_cm3": -1}, "positive number"),
        ({"composition": {"Si": 2}, "cell": [3, 3, 0]}, "has no volume"),
        ({"composition": {"Si": 2}, "cell": [3, 3, 3], "distances": 0.0}, "distances are 0.0"),
    ],
)
def test_packings_that_cannot_be_are_refused(arguments, sentence):
    with pytest.raises(HostError, match=sentence):
        random_packing(**arguments)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"rate_K_per_s": -1e12}, "rate_K_per_s is -1"),
        ({"rate_K_per_s": 1.0}, r"takes 2\.7e\+18 steps of 1 fs"),
        ({"rate_K_per_s": 1e20}, "change the rate"),
        ({"final_K": 4000.0}, "wanted the melt hotter"),
    ],
)
def test_absurd_protocols_are_refused(options, sentence):
    with pytest.raises(DynamicsError, match=sentence):
        Protocol(**options)


def test_relaxation_finds_the_crystal_and_its_energy():
    atoms = silicon()
    atoms.rattle(0.1, seed=0)
    relaxed, energy, calls = relax(atoms, StillingerWeber(), 1e-4)
    assert energy == pytest.approx(-4.3366 * 64, abs=1e-3)
    assert 0 < calls < 400
    same = relax(atoms, StillingerWeber().calculator(), 1e-4)
    assert same[1] == pytest.approx(energy, abs=1e-6)
    assert not relaxed.get_momenta().any()


def test_silicon_becomes_a_glass_on_schedule_and_again_to_the_bit(tmp_path):
    whole = melt_quench(silicon(), StillingerWeber(), FAST, tmp_path / "whole", seed=4)
    assert order(whole.atoms) < 0.2
    assert not whole.warnings
    assert 3.8 < coordination(whole.atoms, 2.95).mean() < 5.2
    assert whole.energy_eV > -4.3 * 64
    quench = whole.log[whole.log["stage"] == "quench"]
    steps = quench["step"].iloc[-1]
    assert steps == FAST.quench_steps == 1000
    rate = (quench["target_K"].iloc[0] - quench["target_K"].iloc[-1]) / (quench["time_ps"].iloc[-1] * 1e-12)
    assert rate == pytest.approx(2e15, rel=1e-3)

    class StopHereError(Exception):
        pass

    def stop_in(temperature):
        def watch(atoms):
            if atoms.info["step"] == 500 and atoms.get_temperature() < temperature:
                raise StopHereError

        return watch

    torn = tmp_path / "torn"
    with pytest.raises(StopHereError):
        melt_quench(
            silicon(), StillingerWeber(), FAST, torn, seed=4, watch=stop_in(2800.0), checkpoint_seconds=0.0
        )  # fmt: skip
    assert (torn / "quench.iontraj").exists()
    assert not (torn / "anneal.iontraj").exists()
    again = melt_quench(silicon(), StillingerWeber(), FAST, torn, seed=4)
    assert np.array_equal(again.atoms.positions, whole.atoms.positions)
    assert again.log.equals(whole.log)
    assert (torn / "quench.iontraj").read_bytes() == (tmp_path / "whole" / "quench.iontraj").read_bytes()


def test_a_melt_that_does_not_melt_is_said(tmp_path):
    cold = Protocol(melt_K=600.0, final_K=300.0, rate_K_per_s=1e15, melt_ps=1.0, most_melt_ps=2.0, every=50)
    with pytest.raises(DynamicsError, match=r"not settled as a liquid: atoms moved 0\.\d+ Å"):
        melt_quench(silicon(), StillingerWeber(), cold, tmp_path)


def test_a_crystal_at_the_end_is_said(tmp_path):
    """With a threshold that a hot crystal passes, nothing melts and the end is the crystal."""
    lax = Protocol(
        melt_K=600.0, final_K=300.0, rate_K_per_s=1e15, melt_ps=1.0, anneal_ps=0.0, melted_A=0.05, every=50
    )  # fmt: skip
    result = melt_quench(silicon(), StillingerWeber(), lax, tmp_path)
    assert "crystalline" in result.warnings[0]


@pytest.mark.parametrize("size", [64, 216])
def test_glasses_of_few_atoms_are_not_called_crystals(size):
    """The strongest of many waves is strong by chance, and more so the fewer the atoms."""
    folder = ROOT / "case_studies" / "amorphous_silicon" / "glasses"
    for model in ("T3", "SW"):
        for glass in read(folder / f"{model}-{size}.extxyz", ":"):
            warnings = _judge(glass, [pd.DataFrame({"stage": ["quench"]})], Protocol())
            assert warnings == []
    assert "crystalline" in _judge(silicon(), [pd.DataFrame({"stage": ["quench"]})], Protocol())[0]


def test_a_series_has_all_rates_and_samples(tmp_path):
    slower = Protocol(**{**FAST.__dict__, "rate_K_per_s": 1e15})
    with ThreadPoolExecutor(2) as pool:
        made = quench_series(
            silicon(), StillingerWeber(), [FAST, slower], tmp_path, samples=2, executor=pool, seed=1
        )
    assert [one.protocol.rate_K_per_s for one in made] == [2e15, 2e15, 1e15, 1e15]
    assert len({one.energy_eV for one in made}) == 4
    assert (tmp_path / "protocol-1" / "sample-1" / "quenched.json").exists()


def test_a_series_says_which_sample_failed_and_ends_the_others(tmp_path):
    """A crystal that cannot melt beside one that can; the potential is made where it is needed."""
    start = [silicon(), silicon()]
    start[0].set_masses([1e6] * 64)
    with (
        ThreadPoolExecutor(2) as pool,
        pytest.raises(DynamicsError, match="protocol 0, sample 0: after 6 ps"),
    ):
        quench_series(start, StillingerWeber, [FAST], tmp_path, samples=2, executor=pool, progress=True)
    assert (tmp_path / "protocol-0" / "sample-1" / "quenched.json").exists()
    with pytest.raises(DynamicsError, match="samples is 0"):
        quench_series(silicon(), StillingerWeber(), [FAST], tmp_path, samples=0)
    with pytest.raises(DynamicsError, match="2 structures for 3 samples"):
        quench_series(start, StillingerWeber(), [FAST], tmp_path, samples=3)


def test_a_species_the_potential_lacks_is_named(tmp_path):
    with pytest.raises(PotentialError, match="holds Ge"):
        melt_quench(bulk("Ge", cubic=True) * 2, StillingerWeber(), FAST, tmp_path)


SCRIPT = textwrap.dedent("""
    import sys
    from ase.build import bulk
    from iondiff.dynamics import Protocol, melt_quench
    from iondiff.potentials.classical import StillingerWeber
    protocol = Protocol(3500.0, 500.0, 2e14, 4.0, 16.0, 4.0, 1.0, "npt", every=100)
    print("ready", flush=True)
    atoms = bulk("Si", cubic=True) * 2
    made = melt_quench(atoms, StillingerWeber(), protocol, sys.argv[1], seed=2, checkpoint_seconds=0.1)
    open(sys.argv[1] + "/end", "wb").write(made.atoms.positions.tobytes())
""")


@pytest.mark.slow
def test_killed_in_every_stage_and_resumed(tmp_path):
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}

    def launch(folder):
        folder.mkdir(exist_ok=True)
        command = [sys.executable, "-c", SCRIPT, str(folder)]
        process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        assert process.stdout.readline() == b"ready\n"
        return process

    def finish(process):
        error = process.communicate(timeout=280)[1]
        assert process.returncode == 0, error.decode()

    finish(launch(tmp_path / "whole"))
    torn = tmp_path / "torn"
    for stage in ("melt-0", "quench", "anneal"):
        process = launch(torn)
        while not (torn / f"{stage}.iontraj.checkpoint").exists() and process.poll() is None:
            time.sleep(0.01)
        time.sleep(0.15)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        assert process.returncode == -signal.SIGKILL
    finish(launch(torn))
    assert (torn / "end").read_bytes() == (tmp_path / "whole" / "end").read_bytes()


@pytest.mark.slow
@pytest.mark.filterwarnings("default")  # Dask's own warnings are not ours to mend
def test_dask_makes_the_same_glasses_as_processes_here(tmp_path):
    """With a network and its core, as they have to travel."""
    distributed = pytest.importorskip("distributed")
    potential = Hybrid(load(ROOT / "case_studies" / "amorphous_silicon" / "T3.nnp"), ZBL("Si"))
    start = random_packing({"Si": 64}, 2.3, distances=2.1, seed=1)  # a crystal would superheat
    protocol = replace(FAST, melt_ps=3.0, most_melt_ps=12.0, melted_A=1.2)
    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None, host="127.0.0.1"
        ) as cluster,
        dask_executor(cluster.scheduler_address) as executor,
    ):
        there = quench_series(
            start, potential, [protocol], tmp_path / "dask", samples=2, seed=1, executor=executor
        )
    here = quench_series(start, potential, [protocol], tmp_path / "here", samples=2, seed=1, workers=2)
    for one, other in zip(here, there, strict=True):
        assert np.array_equal(one.atoms.positions, other.atoms.positions)
        assert one.log.equals(other.log)
    assert here[0].energy_eV != here[1].energy_eV
