"""A full disk, a read-only folder, a second run, Ctrl-C, a jumping clock: one sentence, and nothing lost."""

import errno
import fcntl
import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from ase.calculators.emt import EMT

import kmc
import search
from iondiff import files, workflow
from iondiff.cli import _how_to_go_on
from iondiff.errors import CalculatorError, FileError, IondiffError, RunError
from iondiff.report import write_report
from iondiff.run_folder import RunFolder

OURS = (IondiffError, kmc.GraphError, search.SearchError)
RESULTS = (
    "labels.jsonl.gz",
    "potential.nnp",
    "network.json",
    "diffusivity.csv",
    "transport.json",
    "bands.json",
)


UNSHARE = (shutil.which("unshare") or "false", "-m" if os.getuid() == 0 else "-Urm")


def digests(folder):
    return {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in RESULTS}


def half_files(folder):
    return [p for p in folder.rglob("*") if p.suffix in {".tmp", ".part"}]


@pytest.fixture(scope="module")
def finished(undisturbed):
    """A finished run and its configuration."""
    return undisturbed("road")[0]


@pytest.fixture
def case(finished, tmp_path):
    """A copy of the finished run, to be spoiled."""
    shutil.copytree(finished, tmp_path / "case")
    return tmp_path / "case"


def run(case, **kwargs):
    return workflow.run(case / "config.toml", case / "run", workers=0, **kwargs)


@pytest.mark.parametrize("stage", ["labels", "train", "search", "transport"])
def test_a_full_disk_is_said_and_leaves_no_half_file(case, finished, monkeypatch, stage):
    """Every write of one stage fails as on a full disk; when there is room again the run goes on."""
    (case / "run" / "stages" / f"{stage}.json").unlink()
    (case / "run" / "labels.jsonl").unlink()
    write, full = os.fsync, True

    def fsync(handle):
        name = Path(f"/proc/self/fd/{handle}").readlink().name
        if full and name != "config.toml.tmp":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), name)
        write(handle)

    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(OURS, match="No space left on device") as caught:
        run(case)
    assert "\n" not in str(caught.value)
    assert not half_files(case)
    assert "stopped" in (case / "run" / "run.log").read_text()
    full = False
    run(case)
    assert digests(case / "run") == digests(finished / "run")


def limited(case, size, root):
    """The command line in a process that may not write files larger than `size` bytes."""
    code = "import resource,sys; resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]),)*2); "
    code += "sys.argv = ['diffusion-network', *sys.argv[2:]]; from iondiff.cli import main; main()"
    return subprocess.run(
        [sys.executable, "-c", code, str(size), "run", str(case / "config.toml"), "-o", str(case / "run")],
        capture_output=True, text=True, check=False,
        env={**os.environ, "PYTHONPATH": str(root), "PYTHONWARNINGS": "ignore"},
    )  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("size", [0, 300, 3000, 30_000, 300_000])
def test_files_that_may_not_grow(case, finished, size, root):
    """A real limit of the kernel, at whatever stage it is met: exit code 2, one sentence, and it goes on."""
    shutil.rmtree(case / "run")
    result = limited(case, size, root)
    assert result.returncode == 2, result.stderr
    assert "cannot be written" in result.stderr or "too large" in result.stderr
    assert result.stderr.count("\n") == 1
    assert not half_files(case)
    run(case)
    assert digests(case / "run") == digests(finished / "run")


def test_a_real_full_file_system(case, root):
    """A file system of 64 kB, where the kernel lets a user mount one."""
    small = case / "small"
    small.mkdir()
    mount = [*UNSHARE, "sh", "-c"]
    setup = f"mount -t tmpfs -o size=64k none {small} && exec "
    if subprocess.run([*mount, setup + "true"], capture_output=True, check=False).returncode:
        pytest.skip("no file system may be mounted here")
    shutil.copy(case / "run" / "labels.jsonl.gz", case)
    config = (case / "config.toml").read_text().replace("[labels]", '[labels]\nfile = "labels.jsonl.gz"')
    (case / "config.toml").write_text(config)
    command = f"{sys.executable} -m iondiff run {case / 'config.toml'} -o {small} --workers 0"
    look = f"; code=$?; ls -R {small} >&2; exit $code"
    result = subprocess.run(
        [*mount, setup.replace("exec ", "") + "{ " + command + look + "; }"],
        capture_output=True, text=True, check=False,
        env={**os.environ, "PYTHONPATH": str(root), "PYTHONWARNINGS": "ignore"},
    )  # fmt: skip
    assert result.returncode == 2, result.stderr
    assert "No space left on device" in result.stderr
    assert ".tmp" not in result.stderr.split(f"{small}:")[-1]


def test_a_read_only_folder(case, root):
    """Refused before anything is computed."""
    if os.getuid():
        (case / "run").chmod(0o555)
        result = subprocess.run(
            [sys.executable, "-m", "iondiff", "run", str(case / "config.toml"), "-o", str(case / "run" / "x")],
            capture_output=True, text=True, check=False, env={**os.environ, "PYTHONPATH": str(root)},
        )  # fmt: skip
        (case / "run").chmod(0o755)
    else:  # root may write anywhere, but not on a file system mounted read-only
        frozen = case / "frozen"
        frozen.mkdir()
        bind = f"mount -t tmpfs -o ro none {frozen} && "
        probe = subprocess.run([*UNSHARE, "sh", "-c", bind + "true"], capture_output=True, check=False)
        if probe.returncode:
            pytest.skip("no file system may be mounted here, and root may write everywhere")
        command = f"{sys.executable} -m iondiff run {case / 'config.toml'} -o {frozen}"
        result = subprocess.run(
            [*UNSHARE, "sh", "-c", bind + command], capture_output=True, text=True, check=False,
            env={**os.environ, "PYTHONPATH": str(root), "PYTHONWARNINGS": "ignore"},
        )  # fmt: skip
    assert result.returncode == 2, result.stderr
    assert "cannot be written" in result.stderr
    assert result.stderr.count("\n") == 1


def test_a_second_run_says_who_holds_the_folder(case):
    with RunFolder(case / "run"):
        for _ in range(2):  # the refused one leaves the holder's name and lock alone
            with pytest.raises(RunError, match=f"held by process {os.getpid()} on .*wait for it"):
                run(case)
    run(case)  # and now it is free


def test_a_file_system_without_locks(tmp_path, monkeypatch):
    def flock(*_):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", flock)
    with pytest.raises(RunError, match="No locks available"), RunFolder(tmp_path / "run"):
        pass


def test_every_output_of_a_run_is_made_again_when_it_is_damaged(case, finished):
    expected = digests(finished / "run")
    for stage in workflow.STAGES:
        for name in stage.outputs:
            path = case / "run" / name
            data = bytearray(path.read_bytes())
            data[len(data) // 2] ^= 1
            path.write_bytes(data)
    with pytest.raises(RunError, match="checksum"):
        write_report(case / "run")
    run(case)
    assert digests(case / "run") == expected


def test_a_damaged_record_is_work_done_again(case, finished):
    path = case / "run" / "stages" / "transport.json"
    path.write_text(path.read_text().replace('"seconds": ', '"seconds": 1'))
    before = (case / "run" / "transport.json").stat().st_mtime_ns
    run(case)
    assert (case / "run" / "transport.json").stat().st_mtime_ns > before
    assert digests(case / "run") == digests(finished / "run")


@pytest.mark.parametrize("jump", [-1e9, 1e9])
def test_a_clock_that_jumps(case, finished, monkeypatch, jump):
    """Between any two looks at any clock an age may pass, forwards or backwards; no number depends on it."""
    for stage in ("train", "transport"):
        (case / "run" / "stages" / f"{stage}.json").unlink()
    for name in ("time", "monotonic", "perf_counter"):
        clock, looks = getattr(time, name), []

        def jumping(clock=clock, looks=looks):
            looks.append(None)
            return clock() + jump * (len(looks) % 2)

        monkeypatch.setattr(time, name, jumping)
    run(case)
    monkeypatch.undo()
    assert digests(case / "run") == digests(finished / "run")


@pytest.mark.parametrize(("number", "name"), [(signal.SIGINT, "Ctrl-C"), (signal.SIGTERM, "a batch system")])
def test_interrupted_it_says_how_to_go_on(case, finished, root, number, name):
    """A signal in the middle: what is finished is kept, and the sentence is the command that goes on."""
    shutil.rmtree(case / "run")
    command = [
        sys.executable,
        "-m",
        "iondiff",
        "run",
        str(case / "config.toml"),
        "--output",
        str(case / "run"),
    ]
    environment = {**os.environ, "PYTHONPATH": str(root), "PYTHONWARNINGS": "ignore"}
    process = subprocess.Popen(
        [*command, "--workers", "1"],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    checkpoint = case / "run" / "labels.jsonl"
    deadline = time.monotonic() + 120
    while process.poll() is None and not (checkpoint.exists() and checkpoint.read_text().count("\n") >= 4):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 128 + number, err
    assert err.count("\n") == 1
    assert "go on with: diffusion-network run" in err
    assert "code of ase.calculators.lj:LennardJones is run" in out  # said before it was imported
    assert "Stopped" in (case / "run" / "run.log").read_text()
    kept = checkpoint.read_text()
    assert not half_files(case)
    run(case)
    assert checkpoint.read_text().startswith(kept)
    assert digests(case / "run") == digests(finished / "run")


def test_the_command_that_goes_on():
    assert _how_to_go_on(["run", "my config.toml", "-o", "x"]).endswith(
        "diffusion-network run 'my config.toml' -o x"
    )
    assert _how_to_go_on(["kmc", "g.json", "-T", "300"]).endswith("kmc g.json -T 300 --resume")
    assert _how_to_go_on(["kmc", "g.json", "--resume"]).count("--resume") == 1


def test_a_quiet_terminal_and_a_log(case, root):
    """Not on a terminal: tables at the end and nothing else; the log has the stages."""
    command = [
        sys.executable,
        "-m",
        "iondiff",
        "run",
        str(case / "config.toml"),
        "--output",
        str(case / "run"),
    ]
    environment = {**os.environ, "PYTHONPATH": str(root), "PYTHONWARNINGS": "ignore"}
    result = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    assert result.stderr == ""
    assert "\x1b" not in result.stdout
    assert not re.search(r"steps in|\d+/\d+", result.stdout)
    log = (case / "run" / "run.log").read_text().splitlines()
    for stage in workflow.STAGE_NAMES:
        assert any(f"{stage}: done" in line for line in log)
    assert log[-1].endswith("finished")
    assert all(re.match(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d  ", line) for line in log)


def test_a_write_that_fails_keeps_the_old_file(tmp_path, monkeypatch):
    def fsync(_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    files.write_json(tmp_path / "a.json", {"a": 1})
    ring = json.loads((tmp_path / "a.json").read_text())
    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(
        FileError, match=r"a.json cannot be written \(No space left.*what is finished is kept"
    ):
        files.write_json(tmp_path / "a.json", {"a": 2})
    assert json.loads((tmp_path / "a.json").read_text()) == ring
    assert [p.name for p in tmp_path.iterdir()] == ["a.json"]


class Broken(EMT):
    """A teacher that says NaN, or nothing finite, where the guest is."""

    def calculate(self, atoms=None, properties=("energy",), system_changes=()):
        super().calculate(atoms, properties, system_changes)
        if len(atoms) > 4:
            self.results["energy"] = np.nan


def test_nan_from_a_calculator_is_a_wall_to_the_search_and_an_error_to_the_labels(load_beside, tmp_path):
    from ase.build import bulk

    from iondiff.sampling import relax_host

    host = bulk("Cu", "fcc", a=3.7).repeat((2, 2, 1))
    host.calc = Broken()
    with pytest.raises(CalculatorError, match="energy nan"):
        relax_host(host, "Ni", np.array([1.0, 1.0, 1.0]))
    landscape = search.CalculatorLandscape(host, Broken(), "Ni")
    with pytest.raises(search.SearchError) as caught:
        search.build_network(landscape, grid=(4, 4, 4), energy_cap=1.0, guest="Ni")
    assert "\n" not in str(caught.value)
