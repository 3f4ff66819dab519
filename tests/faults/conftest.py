"""Long work that runs in forks of one warm process, so that killing it costs no seconds of imports."""

import functools
import importlib.util
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@functools.cache
def _load(name):
    """A module beside this file; tests are no package."""
    spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


def pytest_generate_tests(metafunc):
    """`work_name` runs over the stages of long_work.py, `kind_name` over the kinds of file_kinds.py."""
    if "work_name" in metafunc.fixturenames:
        metafunc.parametrize("work_name", sorted(_load("long_work").WORKS))
    if "kind_name" in metafunc.fixturenames:
        metafunc.parametrize("kind_name", sorted(_load("file_kinds").KINDS))


class Warm:
    """The process of long_work.py."""

    def __init__(self):
        environment = {
            **os.environ, "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "ignore", "NUMBA_NUM_THREADS": "1",
            "NUMBA_THREADING_LAYER": "workqueue",  # OpenMP does not live through a fork
        }  # fmt: skip
        self._process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("long_work.py"))],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment,
        )  # fmt: skip

    def _ask(self, **request):
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()

    def _hear(self):
        line = self._process.stdout.readline()
        assert line, "the process of long_work.py ended; its error is above"
        return json.loads(line)

    def run(self, work, folder):
        """Do the work undisturbed in the warm process itself."""
        self._ask(work=work, folder=str(folder))
        assert self._hear()["code"] == 0

    def run_in_fork(self, work, folder, kill_after=None):
        """Do it in a fork, killed after some seconds; (whether it was killed, seconds)."""
        when = {} if kill_after is None else {"kill_after": kill_after}
        self._ask(work=work, folder=str(folder), fork=True, **when)
        answer = self._hear()
        assert answer["code"] == 0 or (when and answer["code"] == -signal.SIGKILL)
        return answer["code"] != 0, answer["seconds"]

    def close(self):
        self._process.stdin.close()
        self._process.wait(60)
        self._process.stdout.close()


@pytest.fixture(scope="session")
def warm():
    process = Warm()
    yield process
    process.close()


@pytest.fixture(scope="session")
def works():
    """The stages of long_work.py by name."""
    return _load("long_work").WORKS


@pytest.fixture(scope="session")
def undisturbed(warm, tmp_path_factory):
    """Folder and seconds of an undisturbed run of each stage, made when it is first wanted."""
    made = {}

    def of(name):
        if name not in made:
            folder = tmp_path_factory.mktemp("undisturbed") / name
            warm.run(name, folder)  # compiles or loads what has to be
            again = tmp_path_factory.mktemp("timed") / name
            made[name] = folder, warm.run_in_fork(name, again)[1]
        return made[name]

    return of


@pytest.fixture(scope="session")
def root():
    """The repository."""
    return ROOT


@pytest.fixture(scope="session")
def load_beside():
    """Loads a module beside the tests by its name."""
    return _load
