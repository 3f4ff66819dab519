"""SIGKILL at random moments of every long stage: the same bytes in the end, nothing finished done twice."""

import hashlib

import numpy as np
import pytest


def digests(folder, names):
    return {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in names}


def units(folder):
    path = folder / "units"
    return path.stat().st_size if path.exists() else 0


def kill_and_resume(name, works, warm, undisturbed, folder, wanted, seed):
    """Killed `wanted` times, then left alone; the counts of kills and of units done and done twice."""
    work = works[name]
    quiet, seconds = undisturbed(name)
    generator = np.random.default_rng(seed)
    kills = 0
    for _ in range(12 * wanted):  # some moments come after the work is done
        # What is left shrinks as finished work is kept: later kills come sooner.
        left = max(1.0 - units(folder) / max(units(quiet), 1), 0.15)
        killed, took = warm.run_in_fork(name, folder, generator.uniform(0.0, left * seconds))
        kills += killed
        if kills == wanted:
            break
        if not killed:  # the machine has become faster than it was when the undisturbed run was timed
            seconds = min(seconds, max(took, 0.5 * seconds))
        if not killed and units(folder) >= units(quiet):
            # Finished before the last kill: the same again in a fresh folder, and both have to be right.
            compare(work, quiet, folder, units(quiet), kills, name)
            folder = folder.with_name(folder.name + "+")
    warm.run_in_fork(name, folder)
    done = compare(work, quiet, folder, units(quiet), kills, name)
    return kills, done


def compare(work, quiet, folder, planned, kills, name):
    assert digests(folder, work.results) == digests(quiet, work.results)
    half = [p.name for p in folder.rglob("*") if p.suffix in {".tmp", ".part"}]
    assert not half, f"half files after {name}: {half}"
    # A kill may come between a unit and its being counted.
    assert planned - kills <= units(folder) <= planned + kills * work.at_risk
    return units(folder)


def test_killed_twice(work_name, works, warm, undisturbed, tmp_path):
    kills, _ = kill_and_resume(work_name, works, warm, undisturbed, tmp_path / "a", 2, seed=1)
    assert kills == 2


@pytest.mark.slow
def test_killed_twenty_times(work_name, works, warm, undisturbed, tmp_path, capsys):
    total, done = 0, 0
    for seed in range(10):
        kills, units_done = kill_and_resume(
            work_name, works, warm, undisturbed, tmp_path / str(seed), 3, seed=100 + seed
        )
        total, done = total + kills, done + units_done
    with capsys.disabled():
        print(f"\n{work_name}: {total} kills in 10 runs, {done} units of work done, all files the same")
    assert total >= 20
