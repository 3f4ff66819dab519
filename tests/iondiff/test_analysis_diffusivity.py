"""Error bars that mean what they say, and the physics a diffusivity must obey."""

import warnings

import numpy as np
import pytest
from scipy import stats

import kmc
from benchmarks import trajectories
from benchmarks.diffusivity import CASES, bound, coverage
from iondiff.analysis import Diffusivity, NotDiffusiveError, TrajectoryWarning, diffusivity
from iondiff.analysis._window import curvature_axis, fit

CM2_S = trajectories.CM2_PER_S
# Lattice gases with several vacancies take their reference from long runs: left to the physics tests.
QUICK = [name for name in CASES if "of 64" not in name and "rattling" not in name]


@pytest.mark.parametrize("name", QUICK)
def test_intervals_hold_the_truth(name):
    row = coverage(name, 60)
    assert row["refused"] <= 0.1
    # Fewer hits than this happen once in ten thousand if 95 % is true.
    assert row["coverage"] * 60 * (1 - row["refused"]) >= stats.binom.ppf(
        1e-4, round(60 * (1 - row["refused"])), 0.95
    )


@pytest.mark.physics
@pytest.mark.parametrize("name", CASES)
def test_95_percent_intervals_hold_the_truth_in_95_percent(name):
    row = coverage(name, 1000)
    assert row["refused"] <= 0.02
    assert 0.92 <= row["coverage"] <= 0.98  # 93 to 97, and what 1000 draws leave open
    assert abs(row["bias"]) < 0.25 * row["spread"]
    if row["bound"] is not None:
        assert row["spread"] < 1.1 * row["bound"] * (1 + 2 / np.sqrt(2000))


def test_brownian_motion_reaches_the_cramer_rao_bound():
    options = {"frames": 300, "atoms": 8, "noise": 0.4}
    rng = np.random.default_rng(4)
    found = [diffusivity(trajectories.brownian(rng, **options)[0], timestep_ps=1.0) for _ in range(250)]
    values = np.array([float(one.value) for one in found]) / (0.05 * CM2_S)
    assert np.std(values) < 1.1 * bound(**options) * (1 + 2 / np.sqrt(500))
    assert np.mean(values) == pytest.approx(1.0, abs=4 * bound(**options) / np.sqrt(250))
    localisation = np.median([one.localisation for one in found])
    assert localisation == pytest.approx(0.4, rel=0.02)


def test_the_exact_lattice_gas_agrees_with_long_runs():
    exact = trajectories.one_vacancy_diffusivity((3, 3, 3))
    measured, error = trajectories.measured_lattice_gas((3, 3, 3), 1, 4000, 12)
    assert measured == pytest.approx(exact, abs=4 * error)
    # In an infinite crystal the correlation factor is 0.6531 (Montet 1973); the cell's images add a little.
    assert 0.6531 < trajectories.one_vacancy_diffusivity((6, 6, 6)) * 215 < 0.67


def test_the_fit_is_the_maximum_of_the_likelihood():
    rng = np.random.default_rng(0)
    s, freedom = curvature_axis(200), np.full(200, 6.0)
    power = (0.3 + 0.2 * s) * rng.chisquare(6, 200) / 6
    found = fit(power, s, freedom, 200, 2)

    def minus_log(a, b):
        spectrum = a + b * s / s[-1]
        return np.sum(freedom / 2 * (np.log(spectrum) + power / spectrum))

    a, b = found.coefficients
    best = minus_log(a, b)
    for da, db in [(1e-3, 0), (-1e-3, 0), (0, 1e-3), (0, -1e-3), (1e-3, -1e-3)]:
        assert minus_log(a + da, b + db) > best
    assert found.weights.sum() == pytest.approx(1.0)
    assert found.weights @ s == pytest.approx(0.0, abs=1e-10)
    assert found.weights @ power == pytest.approx(a)


def test_tensor_scalar_and_rotations():
    rng = np.random.default_rng(5)
    walk = trajectories.brownian(rng, frames=500, atoms=10)[0] * [1.0, 2.0, 0.5]
    scalar, tensor = diffusivity(walk, timestep_ps=1.0), diffusivity(walk, timestep_ps=1.0, tensor=True)
    assert np.trace(tensor.value) / 3 == pytest.approx(scalar.value, rel=1e-12)
    truth = np.diag([0.05, 0.2, 0.0125]) * CM2_S
    assert (np.abs(tensor.value - truth) < 5 * tensor.error).all()
    assert tensor.value.shape == tensor.error.shape == (3, 3)
    low, high = tensor.interval(0.99999)
    assert ((low < truth) & (truth < high)).all()
    turn = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    turned = diffusivity(walk @ turn, timestep_ps=1.0, tensor=True)
    np.testing.assert_allclose(turned.value, turn.T @ tensor.value @ turn, atol=1e-9 * scalar.value)


def test_units_and_scaling():
    walk, D = trajectories.brownian(np.random.default_rng(6), frames=800, atoms=20)
    one = diffusivity(walk, timestep_ps=1.0)
    assert isinstance(one, kmc.Estimate)
    assert abs(one.value - D * CM2_S) < 4 * one.error
    assert diffusivity(walk, timestep_ps=0.002).value == pytest.approx(500 * one.value)
    assert diffusivity(3 * walk, timestep_ps=1.0).error == pytest.approx(9 * one.error, rel=1e-5)
    assert one.window_ps == 1.0
    assert one.n_atoms == 20


def test_intervals_of_a_pure_walk_are_those_of_chi_squared():
    freedom = 12.0
    one = Diffusivity(1.0, np.sqrt(2 / freedom), offset=0.0)
    exact = [freedom / stats.chi2.ppf(q, freedom) for q in (0.975, 0.025)]
    np.testing.assert_allclose(one.interval(0.95), exact, rtol=0.01)
    flat = Diffusivity(1.0, 0.1)
    np.testing.assert_allclose(flat.interval(0.95), kmc.Estimate(1.0, 0.1).interval(0.95))


def test_a_steady_drift_changes_nothing():
    walk = trajectories.cages(np.random.default_rng(7), frames=400, atoms=12)[0]
    flown = walk + np.arange(400)[:, None, None] * np.array([0.3, -0.2, 0.1])
    assert diffusivity(flown, timestep_ps=1.0).value == pytest.approx(
        diffusivity(walk, timestep_ps=1.0).value, rel=1e-9
    )
    kept = diffusivity(flown, timestep_ps=1.0, drift="none", check=False)
    assert kept.value > 2 * diffusivity(walk, timestep_ps=1.0).value


def test_a_wandering_cell_is_seen_and_said():
    rng = np.random.default_rng(8)
    walk, D = trajectories.brownian(rng, frames=600, atoms=30)
    wander = np.cumsum(rng.normal(0, 0.3, (600, 1, 3)), axis=0)
    found = diffusivity(walk + wander, timestep_ps=1.0)
    assert "wanders" in found.notes[0]
    assert abs(found.value - D * CM2_S) < 4 * found.error
    assert not diffusivity(walk, timestep_ps=1.0).notes


def test_a_cell_that_swings_is_seen_and_groups_of_ions_are_not_taken_for_one():
    """In groups of eight the mean place moves eight times as fast, too; but it is the ions that move."""
    rng = np.random.default_rng(21)
    walk, D = trajectories.brownian(rng, frames=800, atoms=32)
    swing = 2.0 * np.sin(np.arange(800) / 30.0)[:, None, None]
    found = diffusivity(walk + swing, timestep_ps=1.0)
    assert "wanders" in found.notes[0]
    assert abs(found.value - D * CM2_S) < 4 * found.error
    eight, D = trajectories.brownian(rng, frames=800, atoms=2)
    groups = np.repeat(eight, 8, axis=1) + rng.normal(0, 0.02, (800, 16, 3))
    found = diffusivity(groups, timestep_ps=1.0)
    assert not found.notes
    assert abs(found.value - D * CM2_S) < 4 * found.error


def test_the_host_is_the_frame_of_reference():
    rng = np.random.default_rng(9)
    ions, D = trajectories.brownian(rng, frames=600, atoms=10)
    host = rng.uniform(0, 10, (1, 40, 3)) + rng.normal(0, 0.1, (600, 40, 3))
    wander = np.cumsum(rng.normal(0, 0.2, (600, 1, 3)), axis=0)
    walk = np.concatenate([ions, host], axis=1) + wander
    symbols = ["Li"] * 10 + ["O"] * 40
    found = diffusivity(walk, timestep_ps=1.0, species="Li", symbols=symbols)
    assert abs(found.value - D * CM2_S) < 4 * found.error
    with pytest.raises(NotDiffusiveError):
        diffusivity(walk, timestep_ps=1.0, species="O", symbols=symbols, drift="centre")


def test_memory_is_left_behind_and_the_window_shown():
    walk, _ = trajectories.cages(np.random.default_rng(10), frames=3000, atoms=20, relaxation=4.0)
    found = diffusivity(walk, timestep_ps=0.5)
    assert found.window_ps > 0.5 * 4.0
    table = found.window_table()
    assert table["used"].any()
    assert not table["used"].all()
    assert table["D_apparent"].iloc[-1] > 1.2 * table["D_apparent"].iloc[2:8].mean()
    assert f"{found.window_ps:.4g} ps" in str(found)


@pytest.mark.parametrize("frames", [30, 300, 3000])
def test_rattling_alone_is_no_diffusion(frames):
    rng = np.random.default_rng(11)
    for relaxation in (0.0, 2.0):
        walk, _ = trajectories.cages(rng, frames=frames, atoms=20, rate=1e-9, relaxation=relaxation)
        with pytest.raises(NotDiffusiveError, match="run longer") as raised:
            diffusivity(walk, timestep_ps=1.0)
        partial = raised.value.estimate
        assert isinstance(partial, Diffusivity)
        assert isinstance(raised.value, kmc.NotConvergedError)


def test_hopping_back_is_not_taken_for_rattling():
    """Ions that come three hops far and often jump back diffuse: the width of a window says nothing of their cage."""
    rng, refused = np.random.default_rng(22), 0
    for _ in range(8):
        options = {"rate": 0.02, "hop": 2.5, "back": 0.3, "spread": 0.1, "relaxation": 0.0}
        walk, _ = trajectories.cages(rng, frames=2000, atoms=16, **options)
        try:
            assert not diffusivity(walk, timestep_ps=1.0).localisation > 1.5
        except NotDiffusiveError:
            refused += 1
    assert refused <= 1


def test_the_amplitude_of_slow_rattling():
    walk, _ = trajectories.cages(np.random.default_rng(23), frames=3000, atoms=32, spread=0.4, relaxation=4.0)
    assert diffusivity(walk, timestep_ps=1.0).localisation == pytest.approx(0.4, rel=0.15)


def test_slow_memory_is_refused():
    # Every ion is tied to its place by a relaxation as long as the run.
    walk, _ = trajectories.cages(np.random.default_rng(12), frames=400, atoms=200, rate=1e-9, relaxation=60.0)
    with pytest.raises(NotDiffusiveError):
        diffusivity(walk, timestep_ps=1.0)


def test_too_few_frames_and_no_motion_are_refused():
    walk, D = trajectories.brownian(np.random.default_rng(13), frames=8, atoms=50)
    with pytest.raises(NotDiffusiveError, match="8 frames are too few") as raised:
        diffusivity(walk, timestep_ps=1.0)
    assert abs(raised.value.estimate.value - D * CM2_S) < 5 * raised.value.estimate.error
    with pytest.raises(NotDiffusiveError, match="nothing moves"):
        diffusivity(np.zeros((100, 3, 3)), timestep_ps=1.0)
    assert diffusivity(walk[:2], timestep_ps=1.0, check=False).n_frames == 2


def test_breathing_cells_wrapped_or_not_give_the_same():
    seed, options = 14, {"frames": 400, "atoms": 8}
    for fluctuation in (0.0, 0.01):
        both = []
        for wrapped in (True, False):
            walk, D, cells = trajectories.breathing(
                np.random.default_rng(seed), fluctuation=fluctuation, wrapped=wrapped, **options
            )
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", TrajectoryWarning)
                both.append(diffusivity(walk, timestep_ps=1.0, cell=cells))
        assert both[0].value == pytest.approx(both[1].value, rel=1e-9)
        assert abs(both[0].value - D * CM2_S) < 4 * both[0].error
