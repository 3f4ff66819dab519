"""The labeller: killed anywhere, it ends with the same set; what fails is said and does not stop the rest."""

import os
import signal
import subprocess
import sys
import time
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from ase.build import bulk
from ase.calculators.emt import EMT

from iondiff.errors import CalculatorError, HostError, LabelError
from iondiff.files import host_fingerprint
from iondiff.processes import ProcessDiedError
from iondiff.sampling import draw_points, label_points, read_labels, relax_host, write_labels

TEACHER = '''
import os, time
from pathlib import Path
import numpy as np
from ase.calculators.calculator import all_changes
from ase.calculators.emt import EMT


class Slow(EMT):
    """EMT that can be slow, and can fail or die where the guest is right of a place."""

    def __init__(self, delay=0.0, fail_beyond=None, how="raise", count_in=None):
        super().__init__()
        self.delay, self.fail_beyond, self.how, self.count_in = delay, fail_beyond, how, count_in

    def calculate(self, atoms=None, properties=("energy",), system_changes=all_changes):
        time.sleep(self.delay)
        if self.count_in:
            with Path(self.count_in).open("a") as stream:
                stream.write(".")
        super().calculate(atoms, properties, system_changes)
        if self.fail_beyond is not None and atoms[-1].symbol == "Ni" and atoms[-1].x > self.fail_beyond:
            if self.how == "die":
                os._exit(9)
            if self.how == "raise":
                raise RuntimeError("the cycle did not converge")
            self.results["forces"][:] = np.nan
'''


@pytest.fixture
def teacher(tmp_path, monkeypatch):
    (tmp_path / "slow_teacher.py").write_text(TEACHER)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "slow_teacher", raising=False)
    return "slow_teacher:Slow"


@pytest.fixture(scope="module")
def metal():
    atoms = bulk("Cu", "fcc", a=3.7).repeat((2, 2, 1))
    atoms.rattle(0.03, seed=2)
    return atoms


@pytest.fixture(scope="module")
def points(metal):
    return draw_points(metal, 8, (12, 12, 12), ((1.2, 1.0),), seed=3)[0]


def run(metal, points, folder, calculator="ase.calculators.emt:EMT", **kwargs):
    return label_points(
        metal, "Ni", points, calculator, checkpoint=folder / "labels.jsonl",
        **{"workers": 0, "fmax": 0.02, **kwargs},
    )  # fmt: skip


def test_labels_are_those_of_single_relaxations_in_the_order_of_the_points(metal, points, tmp_path):
    seen = []
    found = run(metal, points, tmp_path, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(n, 8) for n in range(9)]
    np.testing.assert_allclose(found.positions, points, atol=1e-6)
    host = metal.copy()
    host.calc = EMT()
    alone = relax_host(host, "Ni", points[5], fmax=0.001)
    assert found.labels[5].energy_eV == pytest.approx(alone.energy, abs=2e-3)
    assert found.provenance["spring_eV_A2"] == 1.0
    assert found.provenance["host"] == host_fingerprint(metal)
    # The checkpoint is a label file itself, and nothing is computed twice.
    write_labels(tmp_path / "all.jsonl.gz", found)
    assert read_labels(tmp_path / "labels.jsonl", metal, "Ni").labels == found.labels
    assert read_labels(tmp_path / "all.jsonl.gz", metal, "Ni").labels == found.labels
    before = (tmp_path / "labels.jsonl").read_bytes()
    assert run(metal, points, tmp_path).labels == found.labels
    assert run(metal, points[:3], tmp_path).labels == found.labels[:3]
    assert (tmp_path / "labels.jsonl").read_bytes() == before


def test_parts_share_a_file(metal, points, tmp_path):
    first = run(metal, points[:2], tmp_path, part="grid", precondition=False)
    second = run(metal, points[2:4], tmp_path, part="core", precondition=False)
    assert {x.part for x in second.labels} == {"core"}
    assert len(read_labels(tmp_path / "labels.jsonl")) == 4
    assert run(metal, points[:2], tmp_path, part="grid", precondition=False).labels == first.labels


SCRIPT = """
import sys
import numpy as np
from pathlib import Path
from ase.io import read
from iondiff.sampling import label_points

if __name__ == "__main__":
    folder, workers, delay = Path(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
    label_points(
        read(folder / "host.traj"), "Ni", np.load(folder / "points.npy"), "slow_teacher:Slow",
        {"delay": delay}, checkpoint=folder / "labels.jsonl", workers=workers, fmax=0.02,
    )
"""


def start(folder, metal, points, workers, delay):
    metal.write(folder / "host.traj")
    np.save(folder / "points.npy", points)
    (folder / "script.py").write_text(SCRIPT)
    paths = os.pathsep.join([str(Path(__file__).parents[2]), str(folder)])
    return subprocess.Popen(
        [sys.executable, str(folder / "script.py"), str(folder), str(workers), str(delay)],
        env={**os.environ, "PYTHONPATH": paths},
    )


def lines_in(path):
    return path.read_text().count("\n") if path.exists() else 0


def wait_for(condition, seconds=90.0):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.01)


def test_killed_twice_it_ends_with_the_same_set(metal, points, teacher, tmp_path):
    quiet = tmp_path / "quiet"
    whole = run(metal, points, quiet, teacher, calculator_kwargs={"delay": 0.005})
    folder = tmp_path / "killed"
    folder.mkdir()
    (folder / "slow_teacher.py").write_text(TEACHER)
    for lines in (3, 6):
        process = start(folder, metal, points, 0, 0.005)
        wait_for(lambda n=lines, p=process: lines_in(folder / "labels.jsonl") >= n or p.poll() is not None)
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert 3 <= lines_in(folder / "labels.jsonl") < 9
    with (folder / "labels.jsonl").open("a") as stream:
        stream.write('{"index": 7, "posi')  # what a kill in the middle of a write leaves
    again = run(metal, points, folder, teacher, calculator_kwargs={"delay": 0.005})
    assert again.labels == whole.labels
    assert again.provenance == whole.provenance


def workers_of(folder):
    """Processes (Linux) whose current label folder is in their environment."""
    mark = f"LABEL_TEST={folder}".encode()
    found = []
    for entry in Path("/proc").glob("[0-9]*/environ"):
        try:
            if mark in entry.read_bytes():
                found.append(int(entry.parent.name))
        except OSError:
            continue
    return found


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="counts processes through /proc")
def test_workers_end_with_their_killed_parent(metal, points, tmp_path, monkeypatch):
    monkeypatch.setenv("LABEL_TEST", str(tmp_path))
    (tmp_path / "slow_teacher.py").write_text(TEACHER)
    process = start(tmp_path, metal, points, 2, 0.02)
    wait_for(lambda: lines_in(tmp_path / "labels.jsonl") >= 2 or process.poll() is not None)
    assert len(workers_of(tmp_path)) >= 3
    process.kill()
    process.wait()
    wait_for(lambda: not workers_of(tmp_path), 30)


def test_processes_threads_and_no_processes_agree(metal, points, tmp_path):
    environment = dict(os.environ)
    alone = run(metal, points[:4], tmp_path / "alone")
    pool = run(metal, points[:4], tmp_path / "pool", workers=2)
    assert pool.labels == alone.labels
    assert dict(os.environ) == environment
    with ThreadPoolExecutor(1) as executor:
        assert run(metal, points[:4], tmp_path / "door", executor=executor).labels == alone.labels


@pytest.mark.parametrize("how", ["raise", "nan"])
def test_a_failing_point_does_not_lose_the_others(metal, points, teacher, tmp_path, how):
    limit = float(np.sort(points[:, 0])[-2]) - 1e-6
    bad = np.flatnonzero(points[:, 0] > limit)
    kwargs = {
        "calculator": teacher,
        "calculator_kwargs": {"fail_beyond": limit, "how": how},
        "precondition": False,
    }
    message = "cycle did not converge" if how == "raise" else "non-finite force"
    with pytest.raises(
        CalculatorError, match=f"{len(bad)} of 8 points .*point {bad[0]} at .*{message}.*max_failures"
    ):
        run(metal, points, tmp_path, **kwargs)
    assert lines_in(tmp_path / "labels.jsonl") == 1 + 8 - len(bad)
    found = run(metal, points, tmp_path, max_failures=len(bad), **kwargs)
    assert [x.index for x in found.labels] == [i for i in range(8) if i not in bad]


def test_hopeless_work_is_given_up(metal, teacher, tmp_path):
    many = draw_points(metal, 40, (12, 12, 12), ((1.2, 1.0),), seed=3)[0]
    count = tmp_path / "count"
    kwargs = {"fail_beyond": -1e9, "count_in": str(count)}
    with pytest.raises(CalculatorError, match=r"10 of 40 points could not be labelled"):
        run(metal, many, tmp_path, teacher, calculator_kwargs=kwargs, precondition=False)
    assert len(count.read_text()) == 11  # the empty host and ten points


def test_a_point_whose_process_dies_is_tried_again_and_then_reported(metal, points, teacher, tmp_path):
    limit = float(np.sort(points[:, 0])[-2]) - 1e-6
    bad = np.flatnonzero(points[:, 0] > limit)
    count = tmp_path / "count"
    deadly = {"fail_beyond": limit, "how": "die", "count_in": str(count)}
    kwargs = {"workers": 2, "calculator_kwargs": deadly, "precondition": False, "calculator": teacher}
    with pytest.raises(
        CalculatorError, match=rf"{len(bad)} of 8 points .*point {bad[0]} at .*died twice.*exit code 9"
    ):
        run(metal, points, tmp_path, **kwargs)
    read_labels(tmp_path / "labels.jsonl", metal, "Ni")
    assert lines_in(tmp_path / "labels.jsonl") == 1 + 8 - len(bad)
    calls = len(count.read_text())
    found = run(metal, points, tmp_path, max_failures=len(bad), **kwargs)
    assert [x.index for x in found.labels] == [i for i in range(8) if i not in bad]
    # Only the deadly points were tried again: the empty host and the point itself, twice each.
    assert len(count.read_text()) - calls <= 4 * len(bad)


def test_a_hessian_whose_process_dies_is_said(metal, points, tmp_path, monkeypatch):
    died = "the process at work on it died twice, the last time with exit code 9"
    monkeypatch.setattr(ThreadPoolExecutor, "submit", lambda *_: failed(ProcessDiedError(died)))
    with (
        ThreadPoolExecutor(1) as executor,
        pytest.raises(CalculatorError, match=f"Hessian could not be computed: {died}"),
    ):
        run(metal, points, tmp_path, executor=executor)


def failed(error):
    future = Future()
    future.set_exception(error)
    return future


def test_a_calculator_that_cannot_be_had(metal, points, tmp_path):
    for workers in (0, 1):
        with pytest.raises(CalculatorError, match=r"cannot be imported .*nowhere"):
            run(metal, points, tmp_path, "nowhere:Calculator", workers=workers)


def test_a_checkpoint_is_only_continued_as_it_was_begun(metal, points, tmp_path):
    run(metal, points[:2], tmp_path, precondition=False)
    before = (tmp_path / "labels.jsonl").read_bytes()
    again = {"precondition": False}
    with pytest.raises(LabelError, match=r"spring_eV_A2 = 1.0, this run wants 2.0; name another file"):
        run(metal, points[:2], tmp_path, spring=2.0, **again)
    with pytest.raises(LabelError, match=r"calculator = "):
        run(metal, points[:2], tmp_path, "ase.calculators.lj:LennardJones", **again)
    moved = metal.copy()
    moved.positions[0] += 0.1
    with pytest.raises(LabelError, match=r"host = "):
        run(moved, points[:2], tmp_path, **again)
    with pytest.raises(LabelError, match=r"holds label 0 of part 'grid' at .* this run wants it at"):
        run(metal, points[2:], tmp_path, **again)
    assert (tmp_path / "labels.jsonl").read_bytes() == before


def test_foreign_files_are_not_overwritten(metal, points, tmp_path):
    for content in (b"my only copy", b"line\nline\n", b"\x1f\x8b\xff\xff"):
        (tmp_path / "labels.jsonl").write_bytes(content)
        with pytest.raises(LabelError, match=r"not a label file|cannot be read"):
            run(metal, points, tmp_path)
        assert (tmp_path / "labels.jsonl").read_bytes() == content


def test_a_header_cut_off_by_a_kill_and_a_stale_hessian(metal, points, tmp_path):
    first = run(metal, points[:2], tmp_path)
    path, hessian = tmp_path / "labels.jsonl", tmp_path / "labels.jsonl.hessian.npy"
    kept = hessian.read_bytes()
    path.write_text(path.read_text()[:50])
    np.save(hessian, np.eye(12))  # of labels that are gone
    assert run(metal, points[:2], tmp_path).labels == first.labels
    assert hessian.read_bytes() == kept
    for damaged in (np.eye(3), None):
        hessian.write_bytes(b"") if damaged is None else np.save(hessian, damaged)
        with pytest.raises(LabelError, match="delete it"):
            run(metal, points[:3], tmp_path)


def test_arguments_are_checked(metal, points, tmp_path):
    cluster = metal.copy()
    cluster.pbc = [True, True, False]
    with pytest.raises(HostError, match=r"set host.pbc = True"):
        run(cluster, points, tmp_path)
    with pytest.raises(LabelError, match=r"points have shape \(3,\)"):
        run(metal, points[0], tmp_path)
    with pytest.raises(LabelError, match=r"guest is 'Copper'"):
        label_points(metal, "Copper", points, "ase.calculators.emt:EMT", checkpoint=tmp_path / "x.jsonl")
    with pytest.raises(LabelError, match="plain data"):
        run(metal, points, tmp_path, provenance={"array": np.zeros(2)})
    assert not list(tmp_path.iterdir())
    assert len(run(metal, np.zeros((0, 3)), tmp_path, provenance={"tuple": (1, 2)})) == 0
    assert len(run(metal, np.zeros((0, 3)), tmp_path, provenance={"tuple": (1, 2)})) == 0
