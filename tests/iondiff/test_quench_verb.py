"""The verb ``quench``: plan, glasses, reports, the same glass again, and every mistake of a configuration."""

import json

import numpy as np
import pytest
from ase.build import bulk
from ase.io import read, write
from typer.testing import CliRunner

from iondiff.cli import app
from iondiff.errors import CalculatorError, ConfigError, DynamicsError, HostError, PotentialError
from iondiff.quench_config import read_quench_config
from iondiff.quench_job import plan_quench, quench

CONFIG = """
seed = 3
[start]
composition = {Si = 32}
density_g_cm3 = 2.4
distances = 2.0
[potential]
built_in = "tersoff"
[protocol]
rates_K_per_s = [4e15, 2e15]
samples = 2
melt_K = 3500
melt_ps = 1.0
anneal_ps = 0.2
timestep_fs = 2.0
every = 50
melted_A = 1.0
[report]
expected = 4
cutoff_A = 2.85
crystal = "crystal.extxyz"
"""


@pytest.fixture
def config(tmp_path):
    write(tmp_path / "crystal.extxyz", bulk("Si", a=5.432, cubic=True))

    def made(old="", new=""):
        path = tmp_path / "quench.toml"
        assert old in CONFIG
        path.write_text(CONFIG.replace(old, new))
        return path

    return made


def test_a_dry_run_says_steps_and_time_and_writes_nothing(config, tmp_path):
    result = CliRunner().invoke(
        app, ["quench", str(config()), "--output", str(tmp_path / "out"), "--dry-run", "--json"]
    )
    assert result.exit_code == 0, result.output
    plan = json.loads(result.output)
    # (3500 - 300) K at 4e15 K/s is 0.8 ps; a melt of 1 ps and an anneal of 0.2 ps; 2 fs a step.
    assert [row["steps"] for row in plan] == [1000, 1400]
    assert all(row["seconds"] > 0 and row["samples"] == 2 for row in plan)
    assert not (tmp_path / "out").exists()


def test_glasses_reports_and_the_same_again(config, tmp_path):
    out = tmp_path / "out"
    first = CliRunner().invoke(app, ["quench", str(config()), "--output", str(out)])
    assert first.exit_code == 0, first.output
    glasses = read(out / "glasses.extxyz", ":")
    assert [atoms.info["rate_K_per_s"] for atoms in glasses] == [4e15, 4e15, 2e15, 2e15]
    assert (out / "report-4e+15" / "averages.csv").exists()
    reports = quench(read_quench_config(config()), tmp_path / "other", workers=2)
    again = read(tmp_path / "other" / "glasses.extxyz", ":")
    assert all(np.array_equal(a.positions, b.positions) for a, b in zip(glasses, again, strict=True))
    assert (reports[2e15].metrics["excess_eV"] > 0.1).all()
    assert reports[4e15].average("density_g_cm3").interval(0.95)[0] > 0
    done = json.loads((out / "protocol-1" / "sample-0" / "progress.json").read_text())
    assert done["stage"] == "anneal"
    assert done["done"] == done["total"]


@pytest.mark.parametrize(
    ("old", "new", "error", "sentence"),
    [
        ("density_g_cm3 = 2.4", "density_g_cm3 = 40.0", HostError, r"nearest pair reached \d+%"),
        ("{Si = 32}", "{Si = 30, O = 2}", PotentialError, r"holds O, which .* knows Si"),
        ("[4e15, 2e15]", "[-1e12]", ConfigError, "rates_K_per_s"),
        ("[4e15, 2e15]", "[1e2]", DynamicsError, r"1\.6e\+16 steps"),
        ('built_in = "tersoff"', 'calculator = "no.such:Thing"', CalculatorError, "cannot be imported"),
        ('built_in = "tersoff"', 'calculator = "nonsense"', CalculatorError, "wanted an import path"),
        ('built_in = "tersoff"', 'file = "absent.nnp"', PotentialError, "absent.nnp"),
        ('built_in = "tersoff"', "", ConfigError, "one of file, built_in and calculator"),
        ("density_g_cm3 = 2.4", "", ConfigError, "needs density_g_cm3"),
        ("seed = 3", "sed = 3", ConfigError, "nearest known one is 'seed'"),
        ("melt_K = 3500", "melt_K = 100", DynamicsError, "wanted the melt hotter"),
    ],
)
def test_mistakes_are_named_before_anything_runs(config, tmp_path, old, new, error, sentence):
    with pytest.raises(error, match=sentence):
        plan_quench(read_quench_config(config(old, new)))
    assert not (tmp_path / "out").exists()
