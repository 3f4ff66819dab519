"""The verbs `kmc` and `check`, as a user types them."""

import json

import numpy as np
import pandas as pd
import pytest
import typer
from typer.testing import CliRunner

import kmc
from iondiff import cli_kmc
from iondiff.files import sealed

app = typer.Typer()
app.command("kmc")(cli_kmc.kmc_command)
app.command("check")(cli_kmc.check_command)
WALK = ["--method", "walk", "--walkers", "50", "--hops", "2000", "--seed", "3"]


def call(*arguments):
    return CliRunner().invoke(app, [str(a) for a in arguments])


@pytest.fixture
def network(graphs, tmp_path):
    path = tmp_path / "network.json"
    kmc.write_graph(graphs.disordered(12, seed=2, spread=0.2), path)
    return path


def test_exact_table(network, tmp_path):
    result = call("kmc", network, "--temperature", 500, "--temperature", 700, "--output", tmp_path / "d.csv")
    assert result.exit_code == 0, result.output
    assert "activation energy" in result.output
    table = pd.read_csv(tmp_path / "d.csv")
    D = kmc.diffusion_tensor(kmc.read_graph(network), 700.0)
    assert table["D"][1] == pytest.approx(np.trace(D) / 3, rel=1e-12)
    assert table["D_xz"][1] == pytest.approx(D[0, 2], rel=1e-12)
    assert list(table["method"]) == ["exact", "exact"]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["d.csv", "network.json"]


def test_walk_in_a_field(network, tmp_path):
    field = ["--field", 0.01, 0, -0.02]
    result = call("kmc", network, "-T", 600, "--output", tmp_path / "d.csv", *WALK, *field)
    assert result.exit_code == 0, result.output
    row = pd.read_csv(tmp_path / "d.csv").iloc[0]
    solution = kmc.solve(kmc.read_graph(network), 600.0, field=[0.01, 0, -0.02])
    assert abs(row["D"] - np.trace(solution.tensor) / 3) < 4 * row["D_error"]
    assert "drift_z" in row


def test_resumed_tables_are_the_same(network, tmp_path, monkeypatch):
    whole = tmp_path / "whole.csv"
    arguments = ["kmc", network, "-T", 500, "-T", 600, "-T", 700, *WALK, "--output"]
    assert call(*arguments, whole).exit_code == 0
    row, count = cli_kmc._row, 0

    def pull_the_plug(*given):
        nonlocal count
        count += 1
        if count == 3:
            raise KeyboardInterrupt
        return row(*given)

    broken = tmp_path / "broken.csv"
    monkeypatch.setattr(cli_kmc, "_row", pull_the_plug)
    assert call(*arguments, broken).exit_code != 0
    assert not broken.exists()
    assert call(*arguments, broken, "--resume").exit_code == 0
    assert count == 4  # only the third temperature was walked again
    assert broken.read_bytes() == whole.read_bytes()


def test_resuming_something_else(network, tmp_path):
    (tmp_path / "d.csv.unfinished").write_text(json.dumps(sealed({"identity": "other", "rows": {}})))
    result = call("kmc", network, "-T", 500, "--output", tmp_path / "d.csv", "--resume")
    assert isinstance(result.exception, kmc.GraphError)
    assert "start without --resume" in str(result.exception)


def test_a_changed_digit_in_what_was_kept(network, tmp_path):
    kept = tmp_path / "d.csv.unfinished"
    kept.write_text(json.dumps(sealed({"identity": "other", "rows": {"500.0": {"D": 1.5e-9}}})))
    kept.write_text(kept.read_text().replace("1.5e-09", "1.6e-09"))
    result = call("kmc", network, "-T", 500, "--output", tmp_path / "d.csv", "--resume")
    assert isinstance(result.exception, kmc.GraphError)
    assert "damaged" in str(result.exception)


def test_check_tells_what_it_found(network):
    result = call("check", network)
    assert result.exit_code == 0, result.output
    for words in ("sound, 12 sites", "Components", "percolation barriers", "orders of magnitude"):
        assert words in result.output


def test_check_refuses_with_one_sentence(network):
    data = json.loads(network.read_text())
    data["edges"][0]["barrier"] = -1.0
    network.write_text(json.dumps(data))
    result = call("check", network)
    assert isinstance(result.exception, kmc.GraphError)
    assert "at least 0 eV" in str(result.exception)


def test_a_folder_that_is_not_there(network, tmp_path):
    result = call("kmc", network, "-T", 500, "--output", tmp_path / "nowhere" / "d.csv")
    assert isinstance(result.exception, kmc.GraphError)
