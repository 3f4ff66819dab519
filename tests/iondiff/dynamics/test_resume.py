"""kill -9 at any moment, start again: the same trajectory, log and end to the last bit."""

import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import numba
import numpy as np
import pytest
from ase.build import bulk

from iondiff.dynamics import Trajectory, run
from iondiff.errors import DynamicsError
from iondiff.potentials import load
from iondiff.potentials.classical import StillingerWeber

ROOT = Path(__file__).parents[3]
SCRIPT = textwrap.dedent("""
    import sys
    from ase.build import bulk
    from iondiff.dynamics import run
    from iondiff.potentials.classical import StillingerWeber
    folder, ensemble, steps = sys.argv[1], sys.argv[2], int(sys.argv[3])
    atoms = bulk("Si", cubic=True)
    atoms.rattle(0.05, seed=1)
    print("ready", flush=True)
    result = run(atoms, StillingerWeber(), ensemble, 1.0, steps, temperature=(900, 1500), seed=3, every=70,
                 log_every=7, trajectory=f"{folder}/run.iontraj", checkpoint_seconds=0.02)
    with open(f"{folder}/end", "w") as stream:
        stream.write(result.atoms.positions.tobytes().hex() + result.atoms.get_velocities().tobytes().hex())
        stream.write(result.log.to_numpy().tobytes().hex())
""")


def launch(folder, ensemble, steps):
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(
        [sys.executable, "-c", SCRIPT, str(folder), ensemble, str(steps)],
        env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def finish(process):
    _, error = process.communicate(timeout=300)
    assert process.returncode == 0, error.decode()


def killed_and_whole(tmp_path, ensemble, kills, seed):
    """Fold up a run with SIGKILL again and again; compare its files with those of a run left alone."""
    steps = 4_000 if kills < 5 else 12_000
    whole, torn = tmp_path / "whole", tmp_path / "torn"
    whole.mkdir()
    torn.mkdir()
    process = launch(whole, ensemble, steps)
    assert process.stdout.readline() == b"ready\n"
    begin = time.monotonic()
    finish(process)
    length = time.monotonic() - begin
    generator = np.random.default_rng(seed)
    died = 0
    for _ in range(kills):
        process = launch(torn, ensemble, steps)
        assert process.stdout.readline() == b"ready\n"
        time.sleep(generator.uniform(0, 1.2 * length / (1 if kills < 5 else 4)))
        died += process.poll() is None
        process.send_signal(signal.SIGKILL)
        process.communicate()
    finish(launch(torn, ensemble, steps))
    assert (torn / "end").read_text() == (whole / "end").read_text()
    assert (torn / "run.iontraj").read_bytes() == (whole / "run.iontraj").read_bytes()
    return died


@pytest.mark.parametrize(("ensemble", "seed"), [("npt-flexible", 1)])
def test_killed_twice(tmp_path, ensemble, seed):
    killed_and_whole(tmp_path, ensemble, 2, seed)


@pytest.mark.slow
@pytest.mark.parametrize("ensemble", ["nvt", "langevin", "nose-hoover", "npt"])
def test_killed_five_times(tmp_path, ensemble):
    assert killed_and_whole(tmp_path, ensemble, 7, 5) > 2


def silicon():
    atoms = bulk("Si", cubic=True)
    atoms.rattle(0.05, seed=1)
    return atoms


def go(folder, steps, **more):
    options = {"temperature": 900.0, "seed": 3, "every": 20, "trajectory": folder / "a.iontraj"} | more
    return run(silicon(), StillingerWeber(), "npt", 1.0, steps, **options)


def test_a_run_can_be_made_longer_and_ends_as_if_it_had_been_so_from_the_start(tmp_path):
    (tmp_path / "one").mkdir()
    go(tmp_path, 130)
    longer = go(tmp_path, 400)
    direct = go(tmp_path / "one", 400)
    assert np.array_equal(longer.atoms.positions, direct.atoms.positions)
    assert longer.log.equals(direct.log)
    assert (tmp_path / "a.iontraj").read_bytes() == (tmp_path / "one" / "a.iontraj").read_bytes()


def test_a_finished_run_is_read_back(tmp_path):
    first = go(tmp_path, 100)
    again = go(tmp_path, 100)
    assert np.array_equal(first.atoms.positions, again.atoms.positions)
    assert again.steps == 100


def test_a_torn_end_is_seen_by_the_reader_and_mended_by_the_run(tmp_path):
    go(tmp_path, 200)
    whole = (tmp_path / "a.iontraj").read_bytes()
    (tmp_path / "a.iontraj").write_bytes(whole + whole[-200:-50])
    torn = Trajectory(tmp_path / "a.iontraj")
    assert len(torn) == 11
    assert "no record" in torn.damage
    assert np.array_equal(torn.positions(), Trajectory(tmp_path / "a.iontraj").positions())
    go(tmp_path, 200)
    assert (tmp_path / "a.iontraj").read_bytes() == whole


def test_what_does_not_fit_together_is_refused(tmp_path):
    go(tmp_path, 100)
    with pytest.raises(DynamicsError, match=r"differs in seed \(3 there, 4 here\)"):
        go(tmp_path, 100, seed=4)
    with pytest.raises(DynamicsError, match="beyond n_steps=50"):
        go(tmp_path, 50)
    (tmp_path / "a.iontraj").write_bytes(b"")
    with pytest.raises(DynamicsError, match="missing or shorter"):
        go(tmp_path, 200)
    (tmp_path / "a.iontraj.checkpoint").write_bytes(b"PK\x03\x04 nonsense")
    with pytest.raises(DynamicsError, match="not a checkpoint"):
        go(tmp_path, 200)
    (tmp_path / "a.iontraj.checkpoint").unlink()
    go(tmp_path, 100)
    (tmp_path / "a.iontraj.checkpoint").unlink()
    with pytest.raises(DynamicsError, match="exists already"):
        go(tmp_path, 100)


def test_a_network_s_run_goes_on_with_another_number_of_threads(tmp_path):
    potential = load(ROOT / "case_studies" / "elements" / "Si.nnp")
    atoms = bulk("Si", cubic=True) * 2  # enough of them to wake the other threads

    def go(n_steps, folder, threads):
        before = numba.get_num_threads()
        try:
            numba.set_num_threads(threads)
            return run(
                atoms, potential, "nvt", 1.0, n_steps, 600.0, seed=1, every=10, trajectory=folder / "run"
            )
        finally:
            numba.set_num_threads(before)

    (tmp_path / "whole").mkdir()
    whole = go(20, tmp_path / "whole", 1)
    go(10, tmp_path, 1)
    other = go(20, tmp_path, numba.config.NUMBA_NUM_THREADS)
    assert np.array_equal(other.atoms.positions, whole.atoms.positions)
    assert (tmp_path / "run").read_bytes() == (tmp_path / "whole" / "run").read_bytes()
