"""The file: what is written comes back, a torn end is named, and other programs can read the export."""

import json
import os
import subprocess
import sys
import textwrap

import numpy as np
import pytest
from ase import Atoms
from ase.io import read
from hypothesis import given, settings
from hypothesis import strategies as st

from iondiff.dynamics import Trajectory, TrajectoryWriter
from iondiff.dynamics.trajectory import make_header
from iondiff.errors import DynamicsError

CELL = np.array([[5.0, 0.2, 0.1], [1.5, 4.5, -0.3], [-0.7, 0.4, 6.0]])


def frames_of(count, n=5, seed=0):
    generator = np.random.default_rng(seed)
    positions = generator.normal(0, 100, (n, 3)) + np.cumsum(generator.normal(0, 0.3, (count, n, 3)), axis=0)
    return [
        {
            "step": np.int64(10 * k), "time_ps": 0.02 * k, "cell": CELL * (1 + 0.001 * k),
            "potential_eV": -1.5 * k, "temperature_K": 300.0 + k, "positions": positions[k],
            "velocities": generator.normal(0, 0.01, (n, 3)).astype(np.float32),
        }
        for k in range(count)
    ]  # fmt: skip


def write(path, frames, chunk=4, precision=1e-6):
    atoms = Atoms("LiO2Si2", cell=CELL, pbc=(True, True, False))
    writer = TrajectoryWriter(path, make_header(atoms, atoms.get_masses(), 2.0, 10, precision, chunk))
    for frame in frames:
        writer.append(frame)
    writer.close()


def test_frames_come_back(tmp_path):
    frames = frames_of(11)
    write(tmp_path / "a.iontraj", frames)
    trajectory = Trajectory(tmp_path / "a.iontraj")
    assert len(trajectory) == 11
    assert trajectory.damage is None
    assert trajectory.timestep_ps == pytest.approx(0.02)
    assert trajectory.symbols == ["Li", "O", "O", "Si", "Si"]
    expected = np.array([frame["positions"] for frame in frames])
    assert np.abs(trajectory.positions() - expected).max() <= 0.5000001e-6
    assert np.array_equal(trajectory.positions(3, 9), trajectory.positions()[3:9])
    assert np.array_equal(trajectory.cells(), [frame["cell"] for frame in frames])
    assert np.array_equal(trajectory.array("velocities"), [frame["velocities"] for frame in frames])
    assert np.array_equal(trajectory[-2].positions, trajectory.positions()[-2])
    assert [atoms.info["step"] for atoms in trajectory] == list(range(0, 110, 10))
    assert trajectory[4].get_potential_energy() == -6.0
    assert [atoms.info["step"] for atoms in trajectory[-2:]] == [90, 100]


def test_a_jump_beyond_32_bits_is_kept(tmp_path):
    frames = frames_of(3)
    frames[1]["positions"] = frames[1]["positions"] + 1e6
    write(tmp_path / "a.iontraj", frames)
    assert np.allclose(
        Trajectory(tmp_path / "a.iontraj").positions()[1], frames[1]["positions"], rtol=0, atol=6e-7
    )


READERS = {
    "MDAnalysis": """
        import MDAnalysis
        found = MDAnalysis.Universe(sys.argv[1], format="XYZ", topology_format="XYZ")
        frames = [found.atoms.positions.tolist() for _ in found.trajectory]
    """,
    "ovito": """
        from ovito.io import import_file
        found = import_file(sys.argv[1])
        frames = [found.compute(k).particles.positions[...].tolist() for k in range(found.source.num_frames)]
        assert tuple(found.compute(0).cell.pbc) == (True, True, False)
    """,
}


@pytest.mark.parametrize("name", READERS)
def test_other_programs_read_the_export(tmp_path, name):
    """In this environment, or by the interpreter that MDANALYSIS_PYTHON or OVITO_PYTHON names."""
    interpreter = os.environ.get(f"{name.upper()}_PYTHON")
    if interpreter is None:
        pytest.importorskip(name)
    frames = frames_of(5)
    write(tmp_path / "a.iontraj", frames)
    Trajectory(tmp_path / "a.iontraj").export(tmp_path / "a.extxyz")
    script = "import json, sys\n" + textwrap.dedent(READERS[name]) + "print(json.dumps(frames))"
    done = subprocess.run(
        [interpreter or sys.executable, "-W", "ignore", "-c", script, str(tmp_path / "a.extxyz")],
        capture_output=True, text=True, check=True, env={**os.environ, "QT_QPA_PLATFORM": "offscreen"},
    )  # fmt: skip
    read_back = np.array(json.loads(done.stdout.splitlines()[-1]))
    np.testing.assert_allclose(read_back, [frame["positions"] for frame in frames], atol=2e-5)


def test_ase_reads_the_export(tmp_path):
    frames = frames_of(6)
    write(tmp_path / "a.iontraj", frames)
    Trajectory(tmp_path / "a.iontraj").export(tmp_path / "a.extxyz", every=2)
    images = read(tmp_path / "a.extxyz", ":")
    assert len(images) == 3
    assert np.allclose(images[1].positions, frames[2]["positions"], rtol=0, atol=1e-6)
    assert np.allclose(images[2].cell.array, frames[4]["cell"], rtol=0, atol=1e-7)
    assert list(images[0].pbc) == [True, True, False]
    assert images[1].get_potential_energy() == pytest.approx(-3.0)


@settings(max_examples=60, deadline=None)
@given(share=st.floats(0, 1))
def test_any_cut_keeps_the_whole_frames_before_it(tmp_path_factory, share):
    path = tmp_path_factory.mktemp("cut") / "a.iontraj"
    write(path, frames_of(11))
    whole = Trajectory(path).positions()
    data = path.read_bytes()
    path.write_bytes(data[: int(share * len(data))])
    try:
        cut = Trajectory(path)
    except DynamicsError as error:
        assert "damaged" in str(error)  # noqa: PT017 - either outcome is right, each with its own sentence
        return
    assert len(cut) in {0, 4, 8, 11}
    if len(cut):
        assert np.array_equal(cut.positions(), whole[: len(cut)])
    assert len(cut) == 11 or cut.damage is None or "left out" in cut.damage


@settings(max_examples=60, deadline=None)
@given(share=st.floats(0, 0.999999), bit=st.integers(0, 7))
def test_a_flipped_bit_never_becomes_a_position(tmp_path_factory, share, bit):
    path = tmp_path_factory.mktemp("flip") / "a.iontraj"
    write(path, frames_of(11))
    whole = Trajectory(path).positions()
    data = bytearray(path.read_bytes())
    data[int(share * len(data))] ^= 1 << bit
    path.write_bytes(data)
    try:
        flipped = Trajectory(path)
        found = flipped.positions()
    except DynamicsError as error:
        assert "damaged" in str(error) or "no frames" in str(error)  # noqa: PT017
        return
    assert np.array_equal(found, whole[: len(flipped)])


def test_what_is_no_trajectory_is_said(tmp_path):
    with pytest.raises(DynamicsError, match="does not exist"):
        Trajectory(tmp_path / "none.iontraj")
    (tmp_path / "b.iontraj").write_text("3\n\nH 0 0 0\n")
    with pytest.raises(DynamicsError, match="is not a trajectory"):
        Trajectory(tmp_path / "b.iontraj")


def test_memory_stays_small(tmp_path):
    """Frames of 60 MB go through a process that never holds more than a few chunks."""
    import tracemalloc

    n, count = 1000, 2500
    atoms = Atoms(f"Li{n}", cell=CELL * 5, pbc=True)
    writer = TrajectoryWriter(
        tmp_path / "a.iontraj", make_header(atoms, atoms.get_masses(), 2.0, 10, 1e-4, 50)
    )
    frame = frames_of(1, n)[0]
    generator = np.random.default_rng(0)
    tracemalloc.start()
    for _ in range(count):
        frame["positions"] = frame["positions"] + generator.normal(0, 0.1, (n, 3))
        writer.append(frame)
    writer.close()
    total = sum(
        len(chunk["positions"]) for chunk in Trajectory(tmp_path / "a.iontraj").chunks(("positions",))
    )
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert total == count
    assert peak < 25e6
