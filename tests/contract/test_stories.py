"""Every page of docs/stories is carried out as a reader would: files written, commands run, code executed."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = sorted((ROOT / "docs" / "stories").glob("*.md"))
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", flags=re.MULTILINE | re.DOTALL)


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_story_happens_as_told(page, tmp_path):
    blocks = BLOCK.findall(page.read_text(encoding="utf-8"))
    assert blocks
    for kind, text in blocks:
        {"python": run_python, "bash": run_commands, "toml": write_file}[kind](text, tmp_path)


def environment():
    return {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "ignore", "OMP_NUM_THREADS": "1"}


def run(command, folder):
    done = subprocess.run(command, cwd=folder, env=environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"


def run_python(text, folder):
    run([sys.executable, "-c", text], folder)


def run_commands(text, folder):
    for line in text.strip().splitlines():
        program, *arguments = shlex.split(line, comments=True)
        start = {"diffusion-network": [sys.executable, "-m", "iondiff"], "python": [sys.executable]}[program]
        run([*start, *arguments], folder)


def write_file(text, folder):
    name = re.match(r"# (\S+)\n", text)
    assert name, "the first line of a file in a story is a comment with its name"
    (folder / name.group(1)).write_text(text, encoding="utf-8")
