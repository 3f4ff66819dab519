"""Reading a run folder: a broken file is named in one sentence, whatever is wrong with it."""

import json

import pytest

from iondiff.errors import RunError
from iondiff.report import read_run

MANDATORY = ("config.toml", "host.extxyz", "network.json", "diffusivity.csv", "transport.json")
JSON_FILES = (
    "network.json", "transport.json", "training.json", "teacher_check.json", "certificate.json",
    "summary.json", "provenance.json", "evidence.json",
)  # fmt: skip


def edit(path, change):
    data = json.loads(path.read_text())
    change(data)
    path.write_text(json.dumps(data))


def test_reads_a_whole_run(run_folder):
    run = read_run(run_folder)
    assert run.network.number_of_nodes() == 14
    assert run.transport.percolation.barrier_3d_eV == 0.84
    assert run.training.parity.split.count("test") == 60
    assert run.host.pbc.all()


def test_missing_folder(tmp_path):
    with pytest.raises(RunError, match="does not exist"):
        read_run(tmp_path / "nowhere")


@pytest.mark.parametrize("name", MANDATORY)
def test_missing_file_is_named(run_folder, name):
    (run_folder / name).unlink()
    with pytest.raises(RunError, match=f"has no {name}"):
        read_run(run_folder)


@pytest.mark.parametrize("name", JSON_FILES)
@pytest.mark.parametrize(
    "content", ["", '{"a": ', "[1, 2]", "null", "[" * 100_000], ids=lambda text: text[:6]
)
def test_broken_json_is_named(run_folder, name, content):
    (run_folder / name).write_text(content)
    with pytest.raises(RunError, match=name) as caught:
        read_run(run_folder)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["host.extxyz", "diffusivity.csv", "current_hops.csv"])
@pytest.mark.parametrize("content", [b"", b"84\nLatt", b"\xff\xfe\x00\x00"])
def test_broken_tables_are_named(run_folder, name, content):
    (run_folder / name).write_bytes(content)
    with pytest.raises(RunError, match=name):
        read_run(run_folder)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda data: data["graph"].update(schema="hopping-graph/9"), "hopping-graph/9"),
        (lambda data: data["graph"].update(cell=[[1, 0, 0], [2, 0, 0], [0, 0, 1]]), "cell"),
        (lambda data: data["graph"].pop("cell"), "cell"),
        (lambda data: data["nodes"][3].update(energy=float("nan")), "site 3"),
        (lambda data: data["nodes"][2].update(position=[0.0, 1.0]), "site 2"),
        (lambda data: data["edges"][0].pop("barrier"), "barrier"),
        (lambda data: data["edges"][0].update(prefactor=-1.0), "prefactor"),
        (lambda data: data["edges"][0].update(image="x"), "image"),
        (lambda data: data.update(directed=False), "directed multigraph"),
    ],
)
def test_network_off_the_contract_is_refused(run_folder, change, words):
    edit(run_folder / "network.json", change)
    with pytest.raises(RunError, match=words):
        read_run(run_folder)


def test_unequal_lists_are_refused(run_folder):
    edit(run_folder / "training.json", lambda data: data["parity"]["split"].pop())
    with pytest.raises(RunError, match="different lengths"):
        read_run(run_folder)


def test_words_in_a_number_column_are_refused(run_folder):
    (run_folder / "diffusivity.csv").write_text("temperature,D,D_error,method\n500,fast,0,exact\n")
    with pytest.raises(RunError, match="'D' holds something that is not a number"):
        read_run(run_folder)


def test_unknown_keys_are_kept(run_folder):
    edit(run_folder / "certificate.json", lambda data: data.update(cells_checked=1331))
    assert read_run(run_folder).certificate.model_extra["cells_checked"] == 1331
