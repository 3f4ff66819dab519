"""The README's Python examples run as they stand."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def test_the_example_in_the_readme_runs(monkeypatch, capsys):
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)
    monkeypatch.chdir(ROOT)
    names: dict = {}
    exec(compile(example, "README.md", "exec"), names)  # noqa: S102 - our own file
    assert names["network"].number_of_nodes() > 1
    assert names["fit"].Ea > 0
    assert "complete" in capsys.readouterr().out.lower()


@pytest.mark.slow
def test_the_longer_example_runs_too(monkeypatch, capsys, tmp_path):
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```py\n(.*?)```", text, flags=re.DOTALL)
    (tmp_path / "runs").mkdir()
    (tmp_path / "case_studies").symlink_to(ROOT / "case_studies")
    monkeypatch.chdir(tmp_path)
    exec(compile(example, "README.md", "exec"), {})  # noqa: S102 - our own file
    assert "±" in capsys.readouterr().out
