"""Whatever holds a trajectory, and whatever can be wrong with one."""

import ase.io
import numpy as np
import pytest
from ase import Atoms

from benchmarks import trajectories
from iondiff.analysis import TrajectoryWarning, as_trajectory, diffusivity
from iondiff.analysis import readers as readers_module
from iondiff.errors import TrajectoryError

CELL = trajectories.TRICLINIC


def frames_of(n_frames=40, seed=0, wrap=False, breathing=0.0):
    """Li and O in a triclinic cell, Li moving."""
    rng = np.random.default_rng(seed)
    start = rng.random((9, 3)) @ CELL
    steps = rng.normal(0, 0.3, (n_frames, 9, 3))
    steps[:, 5:] *= 0.01
    path = start + np.cumsum(steps, axis=0)
    frames = []
    for positions in path:
        atoms = Atoms("Li5O4", positions=positions, cell=CELL, pbc=True)
        atoms.set_cell(CELL * (1 + breathing * rng.normal()), scale_atoms=True)
        if wrap:
            atoms.wrap()
        frames.append(atoms)
    return frames


def test_lists_iterators_and_arrays_agree():
    frames = frames_of()
    array = np.array([frame.positions for frame in frames])
    symbols = frames[0].get_chemical_symbols()
    by_array = diffusivity(array, timestep_ps=0.1, species="Li", symbols=symbols)
    for source in (frames, iter(frames), tuple(frames)):
        assert diffusivity(source, timestep_ps=0.1, species="Li").value == pytest.approx(
            by_array.value, rel=1e-9
        )
    assert (
        diffusivity(array.tolist(), timestep_ps=0.1, species=["Li"], symbols=symbols).value == by_array.value
    )
    assert diffusivity(array.astype(np.float32), timestep_ps=0.1, species="Li", symbols=symbols).value == (
        pytest.approx(by_array.value, rel=1e-4)
    )


@pytest.mark.parametrize("name", ["t.extxyz", "t.traj", "t.xyz", "XDATCAR"])
def test_files_that_ase_reads(tmp_path, name):
    frames = frames_of()
    path = tmp_path / name
    ase.io.write(path, frames, format="vasp-xdatcar" if name == "XDATCAR" else None)
    expected = diffusivity(frames, timestep_ps=0.1, species="Li").value
    found = diffusivity(str(path), timestep_ps=0.1, species="Li")
    assert found.value == pytest.approx(expected, rel=1e-4)


def lammps_dump(path, frames):
    lines = []
    for step, atoms in enumerate(frames):
        lines += ["ITEM: TIMESTEP", str(step), "ITEM: NUMBER OF ATOMS", str(len(atoms))]
        lines += ["ITEM: BOX BOUNDS pp pp pp", "0 20", "0 20", "0 20", "ITEM: ATOMS id type xu yu zu"]
        lines += [
            f"{i + 1} {1 + (i > 4)} {x:.8f} {y:.8f} {z:.8f}" for i, (x, y, z) in enumerate(atoms.positions)
        ]
    path.write_text("\n".join(lines) + "\n")


def test_lammps_dumps(tmp_path):
    frames = frames_of()
    path = tmp_path / "run.lammpstrj"
    lammps_dump(path, frames)
    symbols = frames[0].get_chemical_symbols()
    found = diffusivity(path, timestep_ps=0.1, species="Li", symbols=symbols)
    assert found.value == pytest.approx(diffusivity(frames, timestep_ps=0.1, species="Li").value, rel=1e-5)


def write_as(path, frames):
    """In the format that the name says."""
    if path.suffix == ".lammpstrj":
        lammps_dump(path, frames)
    else:
        ase.io.write(path, frames, format="vasp-xdatcar" if path.name == "XDATCAR" else None)


@pytest.mark.parametrize("name", ["t.extxyz", "run.lammpstrj", "XDATCAR"])
def test_a_truncated_file_is_used_as_far_as_it_is_whole(tmp_path, name):
    frames = frames_of()
    path = tmp_path / name
    write_as(path, frames)
    text = path.read_text()
    path.write_text(text[: int(len(text) * 0.8) + 250])
    symbols = frames[0].get_chemical_symbols()
    with pytest.warns(TrajectoryWarning, match=r"(\d+) whole frames before it are used, the rest is lost"):
        found = diffusivity(path, timestep_ps=0.1, species="Li", symbols=symbols)
    assert found.n_frames == 32
    whole = diffusivity(frames[:32], timestep_ps=0.1, species="Li")
    assert found.value == pytest.approx(whole.value, rel=1e-5)
    assert "damaged" in found.notes[0]


@pytest.mark.parametrize("name", ["t.extxyz", "run.lammpstrj", "XDATCAR"])
def test_a_number_that_lost_its_last_digits_is_not_used(tmp_path, name):
    frames = frames_of()
    path = tmp_path / name
    write_as(path, frames)
    path.write_text(path.read_text().rstrip()[:-5])
    with pytest.warns(TrajectoryWarning, match="39 whole frames before it are used"):
        assert as_trajectory(path).n_frames == 39


def test_long_files_stay_on_disk(tmp_path, monkeypatch):
    frames = frames_of()
    monkeypatch.setattr(readers_module, "KEEP_IN_MEMORY", 2000)
    path = tmp_path / "t.traj"
    ase.io.write(path, frames)
    trajectory = as_trajectory(path)
    assert isinstance(trajectory.positions, np.memmap)
    assert diffusivity(trajectory, 0.1, species="Li").value == pytest.approx(
        diffusivity(frames, 0.1, species="Li").value, rel=1e-9
    )


def test_mapped_arrays_in_sections(tmp_path, monkeypatch):
    walk = trajectories.brownian(np.random.default_rng(1), frames=300, atoms=7)[0]
    np.save(tmp_path / "walk.npy", walk)
    mapped = np.load(tmp_path / "walk.npy", mmap_mode="r")
    monkeypatch.setattr("iondiff.analysis.trajectory.SECTION_BYTES", 1000)
    monkeypatch.setattr("iondiff.analysis.trajectory.MAPPED_NUMBERS", 2000)
    assert diffusivity(mapped, timestep_ps=1.0).value == pytest.approx(
        diffusivity(walk, timestep_ps=1.0).value, rel=1e-12
    )


@pytest.mark.parametrize("breathing", [0.0, 0.005])
def test_wrapped_coordinates_are_unwrapped_and_said(breathing):
    free = frames_of(200, breathing=breathing)
    wrapped = frames_of(200, wrap=True, breathing=breathing)
    with pytest.warns(TrajectoryWarning, match="wrapped into the cell: unwrapped"):
        found = diffusivity(wrapped, timestep_ps=0.1, species="Li")
    assert found.value == pytest.approx(diffusivity(free, timestep_ps=0.1, species="Li").value, rel=1e-6)
    assert "wrapped" in found.notes[0]
    array = np.array([frame.positions for frame in wrapped])
    with pytest.raises(TrajectoryError, match="give cell="):
        diffusivity(array, timestep_ps=0.1)


def test_steps_of_half_a_cell_are_refused():
    rng = np.random.default_rng(2)
    places = (np.cumsum(rng.normal(0, 0.25, (60, 6, 3)), axis=0) % 1.0) @ CELL
    with pytest.raises(TrajectoryError, match=r"atom \d moves 0\.\d+ of a lattice vector between frames"):
        diffusivity(places, timestep_ps=1.0, cell=CELL)
    # Unwrapped positions may jump as far as they like.
    far = np.cumsum(rng.normal(0, 8.0, (60, 6, 3)), axis=0)
    assert diffusivity(far, timestep_ps=1.0, cell=CELL).value == diffusivity(far, timestep_ps=1.0).value


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda w: w[0], r"shape \(5, 3\); wanted \(frames, atoms, 3\)"),
        (lambda w: w[..., :2], r"wanted \(frames, atoms, 3\)"),
        (lambda w: w[:1], r"1 frame\(s\); motion needs at least two"),
        (lambda w: w[:, :0], "no atoms"),
        (lambda w: np.where(np.arange(50)[:, None, None] == 7, np.nan, w), "atom 0 in frame 7 is"),
        (lambda w: w.astype(complex), "wanted real numbers"),
        (lambda w: [*w[:9].tolist(), w[9, :3].tolist()], r"frame 9 has the shape \(3, 3\), frame 0 \(5, 3\)"),
        (lambda w: 3.0, "got float; wanted positions"),
        (lambda w: "nowhere.xyz", r"no file 'nowhere\.xyz'"),
        (lambda w: [], "holds no frames"),
        (lambda w: ["a", "b"], "frame 0 is str"),
    ],
)
def test_what_is_no_trajectory(change, message):
    walk = trajectories.brownian(np.random.default_rng(3), frames=50, atoms=5)[0]
    with pytest.raises(TrajectoryError, match=message):
        diffusivity(change(walk), timestep_ps=1.0)


@pytest.mark.parametrize("timestep", [0.0, -1.0, float("nan"), "soon", None])
def test_time_runs_forwards(timestep):
    with pytest.raises(TrajectoryError, match=r"timestep_ps is .* above zero"):
        diffusivity(np.zeros((50, 2, 3)), timestep_ps=timestep)


def test_other_mistakes_are_named():
    frames = frames_of()
    with pytest.raises(TrajectoryError, match="species is 'Na'; the trajectory has Li, O"):
        diffusivity(frames, timestep_ps=0.1, species="Na")
    array = np.array([frame.positions for frame in frames])
    with pytest.raises(TrajectoryError, match="give symbols="):
        diffusivity(array, timestep_ps=0.1, species="Li")
    with pytest.raises(TrajectoryError, match="2 symbols for 9 atoms"):
        diffusivity(array, timestep_ps=0.1, symbols=["Li", "O"])
    with pytest.raises(TrajectoryError, match="frame 12 has 8 atoms, frame 0 has 9"):
        diffusivity([*frames[:12], frames[12][:8], *frames[13:]], timestep_ps=0.1, species="Li")
    swapped = frames[3].copy()
    swapped.numbers[0] = 11
    with pytest.raises(TrajectoryError, match="atom 0 is Na in frame 3 and Li in frame 0"):
        diffusivity([*frames[:3], swapped, *frames[4:]], timestep_ps=0.1, species="Li")
    with pytest.raises(TrajectoryError, match="cell has the shape"):
        diffusivity(array, timestep_ps=0.1, cell=np.eye(2))
    with pytest.raises(TrajectoryError, match="no volume"):
        diffusivity(array, timestep_ps=0.1, cell=np.ones((3, 3)))
    with pytest.raises(TrajectoryError, match="drift is 'away'"):
        diffusivity(array, timestep_ps=0.1, drift="away")
    with pytest.raises(TrajectoryError, match=r"one ase\.Atoms"):
        diffusivity(frames[0], timestep_ps=0.1)


def test_a_file_that_is_none(tmp_path):
    path = tmp_path / "t.extxyz"
    path.write_text("not a trajectory\n")
    with pytest.raises(TrajectoryError, match="could not be read as a trajectory"):
        diffusivity(path, timestep_ps=0.1)
