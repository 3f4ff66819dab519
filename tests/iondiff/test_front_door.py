"""What a new user meets first: a template, a plan, and a word on every file."""

import json
import re
from pathlib import Path

import ase.io
import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from typer.testing import CliRunner

import kmc
from iondiff import cli
from iondiff.config import RunConfig, read_config
from iondiff.errors import IondiffError, RunError
from iondiff.inspection import inspect
from iondiff.planning import CALLS_A_LABEL, plan
from iondiff.potentials import load, save
from iondiff.templates import guest_template, toml

ELEMENTS = Path(__file__).parents[2] / "case_studies" / "elements"


@pytest.fixture
def study(tmp_path, make):
    ase.io.write(tmp_path / "host.extxyz", make.host(np.diag([7.0, 8.0, 9.0]), 12))
    (tmp_path / "config.toml").write_text(
        'guest = "Cu"\n[host]\nfile = "host.extxyz"\n[labels]\ncount = 30\ntest_count = 5\ncore_count = 0\n'
        'calculator = "ase.calculators.lj:LennardJones"\n[improve]\nrounds = 2\nmost_labels = 10\n',
        encoding="utf-8",
    )
    return tmp_path


def test_the_template_is_a_configuration(tmp_path):
    (tmp_path / "config.toml").write_text(guest_template(), encoding="utf-8")
    config = read_config(tmp_path / "config.toml")
    assert config.improve.rounds == 4


def test_every_key_of_the_template_is_known_and_its_default_the_models(tmp_path):
    text = guest_template()
    # Take the comment sign from every line that is a key: the file must still be read, with the same values.
    opened = re.sub(r"^# (\w+ = .+)$", r"\1", text, flags=re.MULTILINE)
    (tmp_path / "all.toml").write_text(opened, encoding="utf-8")
    (tmp_path / "few.toml").write_text(text, encoding="utf-8")
    assert read_config(tmp_path / "all.toml") == read_config(tmp_path / "few.toml")
    for section in RunConfig.model_fields:
        assert re.search(rf"^(# )?(\[{section}\]|{section} =)", text, flags=re.MULTILINE), section


def test_text_with_quotes_survives():
    assert toml({"a": ['say "no"\\', True, 1.5]}) == '{a = ["say \\"no\\"\\\\", true, 1.5]}'
    with pytest.raises(TypeError, match="no form in TOML"):
        toml(object())


def test_the_plan_counts_what_remains(study):
    rows = {row.name: row for row in plan(study / "config.toml", study / "run")}
    assert rows["labels"].calls == 30 * CALLS_A_LABEL + 6 * 12
    assert rows["improve"].calls == 2 * 10 * CALLS_A_LABEL
    assert rows["labels"].seconds > 0
    assert not any(row.done for row in rows.values())
    assert not (study / "run").exists()


def test_a_plan_says_what_a_run_would_refuse(study):
    text = (study / "config.toml").read_text().replace("LennardJones", "LennardJohns")
    (study / "config.toml").write_text(text)
    with pytest.raises(IondiffError, match="LennardJohns"):
        plan(study / "config.toml", study / "run")


def test_a_word_on_every_kind_of_file(study, make):
    save(make.potential(), study / "cu.nnp")
    graph = kmc_graph()
    kmc.write_graph(graph, study / "network.json")
    kmc.write_graph(graph, study / "network.graphml")
    ase.io.write(study / "md.extxyz", [bulk("Si")] * 3)
    kinds = {
        "cu.nnp": "potential",
        "network.json": "hopping graph",
        "network.graphml": "hopping graph",
        "config.toml": "configuration",
        "md.extxyz": "structure",
    }
    for name, kind in kinds.items():
        found = inspect(study / name)
        assert (found.kind, found.trouble) == (kind, ""), name
    assert inspect(study / "md.extxyz").facts["frames"] == 3
    assert inspect(study / "network.json").facts["percolates in directions"] == 1


def kmc_graph():
    import networkx as nx

    graph = nx.MultiDiGraph(schema="hopping-graph/1", cell=np.diag([3.0, 4.0, 5.0]).tolist(), guest="Cu")
    graph.add_node(0, position=[0.0, 0.0, 0.0], energy=0.0)
    for sign in (1, -1):
        graph.add_edge(0, 0, barrier=0.5, prefactor=1e13, image=[sign, 0, 0])
    return graph


def test_what_is_wrong_is_said(study):
    (study / "cut.json").write_text('{"nodes": [', encoding="utf-8")
    assert "cut.json" in inspect(study / "cut.json").trouble
    (study / "bad.toml").write_text("guest = 3\n", encoding="utf-8")
    assert not inspect(study / "bad.toml").sound
    (study / "what.xyz").write_text("not a structure\n", encoding="utf-8")
    assert "ASE cannot read it" in inspect(study / "what.xyz").trouble
    frames = [Atoms("Si"), Atoms("Si2", positions=[[0, 0, 0], [2, 0, 0]])]
    ase.io.write(study / "change.extxyz", frames)
    assert "[1, 2] atoms" in inspect(study / "change.extxyz").trouble
    with pytest.raises(RunError, match="does not exist"):
        inspect(study / "nothing")
    with pytest.raises(RunError, match="without stages"):
        inspect(study)


def test_verbs_and_their_exit_codes(study, monkeypatch):
    monkeypatch.chdir(study)
    runner = CliRunner()
    assert runner.invoke(cli.app, ["init", "fresh.toml"]).exit_code == 0
    again = runner.invoke(cli.app, ["init", "fresh.toml"])
    assert isinstance(again.exception, IondiffError)
    assert "--force" in str(again.exception)
    assert runner.invoke(cli.app, ["init", "fresh.toml", "--force"]).exit_code == 0
    told = runner.invoke(cli.app, ["info", "config.toml", "--json"])
    assert told.exit_code == 0
    assert json.loads(told.stdout)["sound"] is True
    (study / "bad.toml").write_text("guest = 3\n", encoding="utf-8")
    assert runner.invoke(cli.app, ["info", "bad.toml"]).exit_code == 2
    planned = runner.invoke(cli.app, ["run", "config.toml", "-o", "run", "--dry-run", "--json"])
    assert planned.exit_code == 0, planned.output
    assert [row["name"] for row in json.loads(planned.stdout)][:2] == ["host", "labels"]


def test_every_verb_has_an_example():
    runner = CliRunner()
    verbs = [command.name for command in cli.app.registered_commands]
    assert len(verbs) >= 9
    for verb in verbs:
        text = runner.invoke(cli.app, [verb, "--help"]).stdout
        assert f"Example: diffusion-network {verb}" in text, verb
        assert "--json" in text, verb


def test_help_reads_like_a_table_of_contents():
    text = CliRunner().invoke(cli.app, ["--help"]).stdout
    places = [text.index(heading) for heading in cli.CONTENTS]
    assert places == sorted(places)
    for verbs in cli.CONTENTS.values():
        for verb in verbs:
            assert re.search(rf"\b{verb}\b", text[places[0] :]), verb


def test_other_files_are_told_apart(study):
    save(load(ELEMENTS / "Li.nnp"), study / "li.nnp")
    found = inspect(study / "li.nnp")
    assert (found.kind, found.facts["elements"], found.trouble) == ("potential", ["Li"], "")
    (study / "d.csv").write_text("temperature,D\n300,1e-9\n400,2e-9\n")
    assert inspect(study / "d.csv").facts["temperatures_K"] == [300.0, 400.0]
    (study / "d.csv").write_text("temperature,D\n300,much\n")
    assert "not a number" in inspect(study / "d.csv").trouble
