"""The README's Python example runs as it stands."""

import re
from pathlib import Path

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
