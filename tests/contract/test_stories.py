"""Every page of docs/stories is carried out as a reader would: files written, commands run, code executed.

A comment ``<!-- reduced: this -> that -->`` in a page says how its numbers are made smaller for the fast suite;
``<!-- reduced: ends here -->`` says where the fast suite stops. The slow one carries the page out as it stands.
"""

import os
import re
import shlex
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = sorted((ROOT / "docs" / "stories").glob("*.md"))
OTHERS = [ROOT / "docs" / name for name in ("quickstart.md", "formats.md", "extend.md", "units.md")]
BLOCK = re.compile(r"^```(python|bash|toml)\n(.*?)^```$", flags=re.MULTILINE | re.DOTALL)
REDUCED = re.compile(r"^<!-- reduced: (.+?) -> (.*?) -->$", flags=re.MULTILINE)
PROGRAMS = {
    "diffusion-network": [sys.executable, "-m", "iondiff"],
    "python": [sys.executable],
    "dask": [sys.executable, "-m", "dask"],
}


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_story_happens_as_told(page, tmp_path):
    happen(BLOCK.findall(page.read_text(encoding="utf-8")), tmp_path)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_story_happens_in_small(page, tmp_path):
    text = page.read_text(encoding="utf-8")
    changes = REDUCED.findall(text)
    text = REDUCED.sub("", text.split("<!-- reduced: ends here -->", maxsplit=1)[0])
    assert changes
    for this, that in changes:
        assert this in text, f"{page.name} says no longer: {this}"
        text = text.replace(this, that)
    happen(BLOCK.findall(text), tmp_path)


@pytest.mark.parametrize("page", OTHERS, ids=lambda page: page.stem)
def test_what_a_page_shows_works(page, tmp_path):
    happen(BLOCK.findall(page.read_text(encoding="utf-8")), tmp_path)


def happen(blocks, folder):
    """Blocks in order; what was started with & ends with the page."""
    assert blocks
    if any("dask " in text for _, text in blocks):
        pytest.importorskip("distributed", reason="pip install 'diffusion-network[dask]'")
    (folder / "case_studies").symlink_to(ROOT / "case_studies")
    started = []
    try:
        for kind, text in blocks:
            {"python": run_python, "bash": run_commands, "toml": write_file}[kind](text, folder, started)
    finally:
        for process in reversed(started):
            process.kill()
            process.wait()


def environment():
    return {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "ignore", "OMP_NUM_THREADS": "1"}


def run(command, folder):
    done = subprocess.run(command, cwd=folder, env=environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"


def run_python(text, folder, _):
    run([sys.executable, "-c", text], folder)


def run_commands(text, folder, started):
    for line in text.strip().splitlines():
        program, *arguments = shlex.split(line, comments=True)
        if arguments[-1] == "&":
            start(PROGRAMS[program] + arguments[:-1], folder, started)
        else:
            run([*PROGRAMS[program], *arguments], folder)


def start(command, folder, started):
    """In the background; a scheduler is waited for until it has written its file."""
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    started.append(subprocess.Popen(command, cwd=folder, env=environment(), **quiet))
    deadline = time.monotonic() + 120
    while "scheduler" in command and not (folder / "scheduler.json").exists():
        assert started[-1].poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)


def write_file(text, folder, _):
    name = re.match(r"# (\S+)\n", text)
    assert name, "the first line of a file in a story is a comment with its name"
    (folder / name.group(1)).write_text(text, encoding="utf-8")
