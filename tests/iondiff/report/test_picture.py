"""The picture of the README, drawn from a run folder by the script of the case study."""

import runpy
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[3] / "case_studies" / "cu_ta2o5" / "picture.py"


@pytest.fixture
def script():
    pytest.importorskip("matplotlib", reason="matplotlib is not installed (extra 'notebooks')")
    return runpy.run_path(str(SCRIPT))


def test_picture_is_drawn(script, run_folder, tmp_path):
    output = tmp_path / "images" / "network.png"
    assert script["main"]([str(run_folder), str(output)]) == 0
    assert output.read_bytes().startswith(b"\x89PNG")
    assert output.stat().st_size > 30_000


def test_picture_without_current_or_fit(script, run_folder, tmp_path):
    (run_folder / "current_hops.csv").unlink()
    (run_folder / "transport.json").write_text('{"activation_energy_eV": null}')
    assert script["main"]([str(run_folder), str(tmp_path / "network.png")]) == 0


def test_mistakes_are_one_sentence(script, tmp_path, capsys):
    assert script["main"]([]) == 2
    assert "usage" in capsys.readouterr().err
    assert script["main"]([str(tmp_path / "nowhere"), str(tmp_path / "network.png")]) == 2
    assert "does not exist" in capsys.readouterr().err
