"""Studies of a hopping graph alone and of dense carriers, from configuration to tables."""

import json

import ase.io
import networkx as nx
import numpy as np
import pandas as pd
import pytest
from ase.build import bulk
from typer.testing import CliRunner

import kmc
from iondiff import cli, graph_study
from iondiff.errors import ConfigError, IondiffError
from iondiff.inspection import inspect
from iondiff.planning import plan_study
from iondiff.stages_network import drop_impossible
from iondiff.studies import DynamicsStudy, GraphStudy, keep_configuration, read_study
from iondiff.templates import KINDS

CELL = [[3.0, 0.0, 0.0], [0.9, 4.0, 0.0], [-0.5, 0.7, 5.0]]
GRAPH = """
seed = 4
[graph]
file = "network.json"
[transport]
temperatures = [400, 600]
walkers = 200
hops = 4000
[carriers]
counts = [1, 20]
replicate = [4, 4, 4]
hops = 60_000
"""
DENSE = """
seed = 2
[structure]
file = "argon.extxyz"
repeat = [3, 3, 3]
[potential]
calculator = "ase.calculators.lj:LennardJones"
calculator_kwargs = {sigma = 3.4, epsilon = 0.0104, rc = 6.5, smooth = true}
[dynamics]
temperatures = [150, 200]
timestep_fs = 4
equilibration_ps = 0.4
production_ps = 1.2
every = 5
"""


def chain():
    graph = nx.MultiDiGraph(schema="hopping-graph/1", cell=CELL, guest="Li")
    graph.add_node(0, position=[0.0, 0.0, 0.0], energy=0.0)
    for image in np.concatenate([np.eye(3, dtype=int), -np.eye(3, dtype=int)]).tolist():
        graph.add_edge(0, 0, barrier=0.3, prefactor=1e13, image=image)
    return graph


@pytest.fixture
def graph_case(tmp_path):
    kmc.write_graph(chain(), tmp_path / "network.json")
    (tmp_path / "config.toml").write_text(GRAPH)
    return tmp_path


def run(folder, *more):
    return CliRunner().invoke(
        cli.app, ["run", str(folder / "config.toml"), "-o", str(folder / "run"), "--json", *more]
    )


def test_a_graph_study_agrees_with_itself_and_with_theory(graph_case):
    told = run(graph_case)
    assert told.exit_code == 0, told.output
    summary = json.loads(told.stdout)
    assert summary["percolates_in"] == 3
    assert summary["activation_energy_eV"] == pytest.approx(0.3, abs=1e-9)
    table = pd.read_csv(graph_case / "run" / "diffusivity.csv").set_index(["method", "temperature"])
    lengths = (np.array(CELL) ** 2).sum()  # D = Γ Σ d² / 6 over the six hops of this lattice, Γ a rate
    for kelvin in (400.0, 600.0):
        exact, walked = table.loc[("exact", kelvin)], table.loc[("walk", kelvin)]
        rate = 1e13 * np.exp(-0.3 / (8.617333262e-5 * kelvin))
        assert exact["D"] == pytest.approx(2 * lengths * rate / 6 * 1e-16, rel=1e-9)
        assert abs(walked["D"] - exact["D"]) < 5 * walked["D_error"]
    carriers = pd.read_csv(graph_case / "run" / "carriers.csv")
    one = carriers[carriers["carriers"] == 1]
    assert np.allclose(one["occupancy"], 1 / 64)
    alone = table.loc["exact"]["D"].to_numpy()
    assert (np.abs(one["D"].to_numpy() - alone) < 5 * one["D_error"].to_numpy()).all()
    crowded = carriers[carriers["carriers"] == 20]["D"].to_numpy()
    assert (crowded < alone).all()  # exclusion slows tracers down
    found = inspect(graph_case / "run")
    assert found.sound
    assert found.facts["stages"] == {"graph": "done"}
    told = CliRunner().invoke(cli.app, ["report", str(graph_case / "run")])
    assert "another kind" in str(told.exception)


def test_rows_that_are_there_are_not_made_again(graph_case, monkeypatch):
    config, output = graph_case / "config.toml", graph_case / "run"
    study, made = read_study(config), []
    row_of = graph_study.row_of

    def counted(network, task, checkpoint=None):
        made.append(task)
        if len(made) == 4:
            raise KeyboardInterrupt
        return row_of(network, task, checkpoint)

    monkeypatch.setattr(graph_study, "row_of", counted)
    with pytest.raises(KeyboardInterrupt):
        graph_study.run_graph_study(study, config, output)
    graph_study.run_graph_study(study, config, output)
    assert len(made) == 8 + 1  # eight rows, one of them begun twice
    tables = [(output / name).read_bytes() for name in ("diffusivity.csv", "carriers.csv")]
    monkeypatch.setattr(graph_study, "row_of", row_of)
    graph_study.run_graph_study(study, config, graph_case / "again")
    assert tables == [(graph_case / "again" / n).read_bytes() for n in ("diffusivity.csv", "carriers.csv")]


def test_a_seed_from_the_command_line_is_kept(graph_case):
    assert run(graph_case, "--seed", "11").exit_code == 0
    kept = read_study(graph_case / "run" / "config.toml")
    assert kept.seed == 11
    study = read_study(graph_case / "config.toml", seed=3)
    (graph_case / "plain.toml").write_text(GRAPH.replace("seed = 4\n", ""))
    keep_configuration(graph_case / "plain.toml", graph_case / "copy.toml", study)
    assert read_study(graph_case / "copy.toml").seed == 3
    with pytest.raises(ConfigError, match="--seed is -1"):
        read_study(graph_case / "config.toml", seed=-1)


@pytest.fixture
def dense_case(tmp_path):
    ase.io.write(tmp_path / "argon.extxyz", bulk("Ar", "fcc", a=5.9))
    (tmp_path / "config.toml").write_text(DENSE)
    return tmp_path


def test_a_dynamics_study_measures_what_its_trajectories_hold(dense_case):
    told = run(dense_case)
    assert told.exit_code == 0, told.output
    assert json.loads(told.stdout)["formula"] == "Ar27"
    table = pd.read_csv(dense_case / "run" / "diffusivity.csv")
    assert table["temperature"].tolist() == [150.0, 200.0]
    assert table["note"].notna().all()  # 1.2 ps say nothing of diffusion, and that is said
    found = inspect(dense_case / "run" / "150K")
    assert found.kind == "trajectories"
    one = inspect(dense_case / "run" / "200K" / "production.iontraj")
    assert (one.kind, one.sound, one.facts["frames"], one.facts["atoms"]) == ("trajectory", True, 61, 27)
    before = (dense_case / "run" / "diffusivity.csv").read_bytes()
    assert run(dense_case).exit_code == 0
    assert (dense_case / "run" / "diffusivity.csv").read_bytes() == before
    data = (dense_case / "run" / "200K" / "production.iontraj").read_bytes()
    (dense_case / "torn.iontraj").write_bytes(data[:-7])
    assert not inspect(dense_case / "torn.iontraj").sound


def test_plans_of_both(graph_case, dense_case):
    (graph_case / "graph.toml").write_text(GRAPH)
    rows = plan_study(read_study(graph_case / "graph.toml"), graph_case / "run")
    assert len(rows) == 8
    rows = plan_study(read_study(dense_case / "config.toml"), dense_case / "run")
    assert [row.calls for row in rows] == [400, 400]
    assert all(row.seconds > 0 for row in rows)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (("file = \"argon", "flie = \"argon"), "the nearest known one is 'file'"),
        (("seed = 2", "seed = 2\nsepcies = 1"), "unknown key 'sepcies'"),
        (("calculator = ", "file = \"a.nnp\"\ncalculator = "), "not both"),
        (("[dynamics]", "[analysis]\nspecies = \"Xe\"\n[dynamics]"), "species is 'Xe'; the structure has Ar"),
        (("temperatures = [150, 200]", "temperatures = [-3]"), "greater than 0"),
    ],
)  # fmt: skip
def test_mistakes_are_one_sentence(dense_case, change, complaint):
    text = (dense_case / "config.toml").read_text().replace(*change)
    (dense_case / "config.toml").write_text(text)
    told = run(dense_case)
    assert isinstance(told.exception, IondiffError)
    assert complaint in str(told.exception)
    assert "\n" not in str(told.exception)


def test_other_verbs_want_a_guest(graph_case):
    told = CliRunner().invoke(
        cli.app, ["search", str(graph_case / "config.toml"), "-o", str(graph_case / "x")]
    )
    assert isinstance(told.exception, ConfigError)
    assert "no table [host]" in str(told.exception)


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_every_kind_of_study_has_a_template_that_is_read(kind, tmp_path):
    path = tmp_path / "config.toml"
    told = CliRunner().invoke(cli.app, ["init", str(path), "--kind", kind])
    assert told.exit_code == 0, told.output
    found = inspect(path)
    assert (found.kind, found.trouble) == ("configuration", "")
    assert path.read_text().count("\n#") > 10  # what each key means


def test_templates_are_of_their_models(tmp_path):
    for kind, model in (("kmc", GraphStudy), ("dense", DynamicsStudy)):
        (tmp_path / kind).write_text(KINDS[kind]())
        assert isinstance(read_study(tmp_path / kind), model)


def test_a_hop_over_a_pass_below_its_site_is_left_out_and_no_other():
    graph = nx.MultiDiGraph(schema="hopping-graph/1", cell=CELL, guest="Li")
    for site, energy in ((0, 0.0), (1, 0.5)):
        graph.add_node(site, position=[float(site), 0.0, 0.0], energy=energy)
    for height, image in ((0.7, (0, 0, 0)), (0.4, (0, 0, 0)), (0.9, (1, 0, -1))):
        back = [-x for x in image]
        graph.add_edge(0, 1, barrier=height, prefactor=1e12, image=list(image))
        graph.add_edge(1, 0, barrier=height - 0.5, prefactor=1e12, image=back)
    assert drop_impossible(graph) == 2
    assert graph.number_of_edges() == 4
    kmc.validate(graph)
