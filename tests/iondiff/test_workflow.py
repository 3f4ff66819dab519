"""The whole road on a small host with a cheap teacher: resumable to the last digit, clear about mistakes."""

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import ase.io
import numpy as np
import pytest
from ase import Atoms

import kmc
from iondiff.errors import IondiffError, RunError
from iondiff.run_folder import RunFolder
from iondiff.sampling import LabelSet, read_labels, write_labels
from iondiff.workflow import run

ROOT = Path(__file__).parents[2]
CONFIG = """
guest = "Cu"
seed = 3
[host]
file = "host.extxyz"
[labels]
count = 60
test_count = 10
core_count = 4
core_distance = 1.2
grid = [12, 12, 12]
keep = [[1.5, 1.0]]
calculator = "ase.calculators.lj:LennardJones"
calculator_kwargs = {sigma = 1.75, epsilon = 0.25, rc = 4.5, smooth = true}
spring = 5.0
precondition = false
[network]
cutoff = 4.5
angular_cutoff = 3.5
hidden = [5]
members = 2
max_iterations = 40
patience = 15
[improve]
rounds = 1
most_labels = 4
[search]
grid = [16, 16, 16]
prefactors = 1e12
energy_cap = 3.0
[transport]
temperatures = [600, 800, 1000]
walkers = 200
hops = 2000
"""
NUMBERS = (
    "labels.jsonl.gz",
    "training_labels.jsonl.gz",
    "improvement.json",
    "potential.nnp",
    "network.json",
    "sites.csv",
    "hops.csv",
    "certificate.json",
    "bands.json",
    "diffusivity.csv",
    "transport.json",
    "current_hops.csv",
    "training.json",
)


@pytest.fixture(scope="module")
def case(tmp_path_factory):
    """A configuration in a folder of its own: a sheared rock-salt cell of 8 atoms."""
    folder = tmp_path_factory.mktemp("case")
    positions = (
        np.array([[0, 0, 0], [1, 1, 0], [1, 0, 1], [0, 1, 1], [1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 1]]) / 2
    )
    cell = [[5.6, 0.0, 0.0], [0.6, 5.4, 0.0], [0.3, -0.4, 5.8]]
    host = Atoms("Ta4O4", scaled_positions=positions, cell=cell, pbc=True)
    ase.io.write(folder / "host.extxyz", host)
    (folder / "config.toml").write_text(CONFIG, encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def finished(case):
    """The run folder of an undisturbed run."""
    run(case / "config.toml", case / "run", workers=0)
    return case / "run"


def digests(folder):
    return {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in NUMBERS}


def test_the_road_ends_with_a_network_and_a_report(finished):
    summary = json.loads((finished / "summary.json").read_text())
    first = json.loads((finished / "improvement.json").read_text())["rounds"][0]
    assert first["labels"] > 0
    assert summary["label_count"] == 64 + first["labels"]
    network = kmc.read_graph(finished / "network.json")
    kmc.validate(network)
    assert summary["n_sites"] == network.number_of_nodes() > 0
    assert summary["n_hops"] == network.number_of_edges() > 0
    assert set(summary["wall_seconds"]) == {
        "host",
        "labels",
        "improve",
        "train",
        "search",
        "bands",
        "transport",
        "checks",
        "evidence",
    }
    assert summary["teacher_max_path_error_eV"] is None
    checks = json.loads((finished / "checks.json").read_text())
    assert [row["hops"] for row in checks["hops"]] == sorted({row["hops"] for row in checks["hops"]})
    assert checks["labels"][0]["labels"] <= checks["labels"][-1]["labels"]
    # One walker carries the current of all: what each look at the walk says agrees within its errors.
    first, last = checks["hops"][-2], checks["hops"][-1]
    assert abs(first["D"] - last["D"]) < 6 * (first["D_error"] + last["D_error"])
    assert checks["extrapolation"]["looked_at"] == summary["n_sites"] + summary["n_hops"] // 2
    assert (finished / "report.html").stat().st_size > 1_000_000
    assert not list(finished.rglob("*.tmp"))


def test_started_again_nothing_is_done_twice(case, finished):
    before = {path: path.stat().st_mtime_ns for path in finished.glob("*.nnp")}
    run(case / "config.toml", finished, workers=0)
    assert {path: path.stat().st_mtime_ns for path in finished.glob("*.nnp")} == before


def test_two_temperatures_leave_the_error_of_the_fit_unknown(case, finished, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(finished, folder)
    shutil.copy(case / "host.extxyz", tmp_path)
    two = CONFIG.replace("[600, 800, 1000]", "[600, 1000]")
    (tmp_path / "config.toml").write_text(two, encoding="utf-8")
    run(tmp_path / "config.toml", folder, workers=0, until="transport")
    transport = json.loads((folder / "transport.json").read_text())
    assert transport["activation_energy_fit_error_eV"] is None
    assert 0 < transport["activation_energy_error_eV"] < 10  # the potential's own


def test_a_damaged_output_is_made_again(case, finished):
    expected = digests(finished)
    (finished / "network.json").write_text("{}", encoding="utf-8")
    run(case / "config.toml", finished, workers=0)
    assert digests(finished) == expected


def kill_and_resume(case, finished, tmp_path, kills, seed):
    """SIGKILL at random moments, then one undisturbed start: the same bytes."""
    generator = np.random.default_rng(seed)
    output = tmp_path / "run"
    command = [sys.executable, "-m", "iondiff", "run", str(case / "config.toml"), "--output", str(output)]
    command += ["--workers", "0"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "ignore"}
    for _ in range(kills):
        process = subprocess.Popen(
            command,
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        # Importing takes seconds; the moments that matter begin when the folder is there.
        while process.poll() is None and not output.exists():
            time.sleep(0.02)
        time.sleep(generator.uniform(0.0, 6.0))
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    last = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert last.returncode == 0, last.stderr
    assert digests(output) == digests(finished)
    expected, got = (json.loads((folder / "summary.json").read_text()) for folder in (finished, output))
    del expected["wall_seconds"], got["wall_seconds"]
    assert got == expected


@pytest.mark.slow  # the fast suite does it in tests/faults, in forks of a warm process
def test_killed_and_started_again_ends_with_the_same_digits(case, finished, tmp_path):
    kill_and_resume(case, finished, tmp_path, kills=2, seed=1)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(5))
def test_killed_often(case, finished, tmp_path, seed):
    kill_and_resume(case, finished, tmp_path, kills=4, seed=10 + seed)


def edited(case, tmp_path, old, new):
    """The case with one line of its configuration changed."""
    folder = tmp_path / "edited"
    folder.mkdir()
    shutil.copy(case / "host.extxyz", folder)
    assert old in CONFIG
    (folder / "config.toml").write_text(CONFIG.replace(old, new), encoding="utf-8")
    return folder / "config.toml"


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('file = "host.extxyz"', 'file = "nowhere.cif"', "does not exist"),
        ("count = 60\n", 'count = 60\nfile = "nowhere.jsonl.gz"\n', "does not exist"),
        ("ase.calculators.lj:LennardJones", "ase.calculators.nowhere:Nobody", "cannot be imported"),
        ("count = 60\n", "count = 60000\n", "holds only"),
        ("test_count = 10", "test_count = 100", "make more labels"),
    ],
)
def test_mistakes_end_with_one_sentence(case, tmp_path, old, new, words):
    with pytest.raises(IondiffError) as caught:
        run(edited(case, tmp_path, old, new), tmp_path / "run", workers=0)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not list((tmp_path / "run").rglob("*.tmp"))


def test_a_host_without_a_cell(case, tmp_path):
    config = edited(case, tmp_path, "seed = 3", "seed = 4")
    host = ase.io.read(config.parent / "host.extxyz")
    host.cell[:] = 0.0
    host.pbc = False
    ase.io.write(config.parent / "host.extxyz", host)
    with pytest.raises(IondiffError, match="no cell"):
        run(config, tmp_path / "run", workers=0)


def test_labels_with_nan_name_the_row(case, finished, tmp_path):
    found = read_labels(finished / "labels.jsonl.gz")
    config = edited(case, tmp_path, "count = 60\n", 'count = 60\nfile = "labels.jsonl"\n')
    write_labels(config.parent / "labels.jsonl", LabelSet(found.labels[:30], found.provenance))
    lines = (config.parent / "labels.jsonl").read_text().splitlines()
    record = json.loads(lines[7])
    record["energy_eV"] = float("nan")
    lines[7] = json.dumps(record)
    (config.parent / "labels.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    with pytest.raises(IondiffError, match="line 8"):
        run(config, tmp_path / "run", workers=0)


def test_a_second_run_in_the_folder_is_refused(case, tmp_path):
    with RunFolder(tmp_path / "run"), pytest.raises(RunError, match=f"process {os.getpid()}"):
        run(case / "config.toml", tmp_path / "run", workers=0)


def test_the_command_line_exits_with_2(case, tmp_path):
    config = edited(case, tmp_path, "[search]\ngrid = [16, 16, 16]", "[search]\ngrid = [0, 16, 16]")
    command = [sys.executable, "-m", "iondiff", "run", str(config), "--output", str(tmp_path / "run")]
    result = subprocess.run(
        command, capture_output=True, text=True, check=False, env={**os.environ, "PYTHONPATH": str(ROOT)}
    )
    assert result.returncode == 2
    assert result.stderr.count("\n") == 1
    assert "search.grid.0 is 0" in result.stderr
    assert not (tmp_path / "run").exists()
