"""The case study of many carriers runs from its files."""

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest

import kmc

FOLDER = Path(__file__).parents[2] / "case_studies" / "lattice_gas"


@pytest.fixture(scope="module")
def study():
    spec = importlib.util.spec_from_file_location("lattice_gas_study", FOLDER / "run.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_table_obeys_the_law_of_a_uniform_lattice(study):
    graph = study.uniform_lattice()
    free = kmc.diffusion_tensor(graph, study.TEMPERATURE)[0, 0]
    row = study.row("uniform lattice", graph, 0.25, 200_000)
    n = 1000
    assert abs(row["D_charge"] - free * (n - 250) / (n - 1)) < 4 * row["D_charge_error"]
    assert row["D"] < row["D_charge"] + 3 * row["D_charge_error"]


def test_network_and_table_are_of_one_making(study):
    graph = kmc.read_graph(FOLDER / "network.json")
    kmc.validate(graph)
    row = study.row("Cu in a-Ta2O5", graph, 0.25, 20_000)
    assert np.isfinite([row["D"], row["conductivity"]]).all()
    lines = (FOLDER / "concentration.csv").read_text(encoding="utf-8").splitlines()
    assert len(lines) == 1 + 2 * len(study.SHARES)
    assert lines[0].split(",")[:2] == list(row)[:2]


def test_the_notebook_carries_no_output():
    cells = json.loads((FOLDER / "concentration.ipynb").read_text(encoding="utf-8"))["cells"]
    assert all(not cell.get("outputs") for cell in cells)


@pytest.mark.slow
def test_the_notebook_runs():
    nbformat = pytest.importorskip("nbformat", reason="the notebook needs the extra 'notebooks'")
    nbclient = pytest.importorskip("nbclient", reason="the notebook needs the extra 'notebooks'")
    pytest.importorskip("ipykernel", reason="the notebook needs the extra 'notebooks'")
    notebook = nbformat.read(FOLDER / "concentration.ipynb", as_version=4)
    nbclient.NotebookClient(notebook, timeout=600, resources={"metadata": {"path": str(FOLDER)}}).execute()
