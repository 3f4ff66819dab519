"""Training: learns what can be learnt, the same digits every time, also after a kill."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest

from iondiff.descriptors import DescriptorSet, Radial
from iondiff.errors import TrainingError
from iondiff.potentials import load, save
from iondiff.sampling import draw_points
from iondiff.training import TrainingSettings, error_table, parity, train_guest

QUICK = TrainingSettings(hidden=(5,), members=2, max_iterations=25, patience=25)
DEPTH, STEEPNESS = {"Ta": 0.25, "O": 0.6}, 1.6  # eV, 1/Å
PLACE = {"Ta": 2.6, "O": 2.0}  # Å


def morse(host, points):
    """A Morse well around every host atom, cut smoothly at 4.5 Å: energy (n,) and gradient (n, 3)."""
    images = (
        np.stack(np.meshgrid(*[np.arange(-2, 3)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
        @ host.cell.array
    )
    energy, gradient = np.zeros(len(points)), np.zeros((len(points), 3))
    for symbol, position in zip(host.get_chemical_symbols(), host.positions, strict=True):
        d = points[:, None] - position - images
        r = np.linalg.norm(d, axis=-1)
        e = np.exp(-STEEPNESS * (r - PLACE[symbol]))
        x = np.minimum(r / 4.5, 1.0)
        f, df = 1 - 10 * x**3 + 15 * x**4 - 6 * x**5, -30 * x**2 * (1 - x) ** 2 / 4.5
        v, dv = DEPTH[symbol] * (e * e - 2 * e), DEPTH[symbol] * STEEPNESS * (2 * e - 2 * e * e)
        energy += (v * f).sum(axis=1)
        gradient += (((dv * f + v * df) / r)[..., None] * d).sum(axis=1)
    return energy, gradient


@pytest.fixture(scope="module")
def labels(host):
    points, _ = draw_points(host, 360, grid=(30, 30, 30), keep=((1.6, 1.0),), seed=3)
    return points, *morse(host, points)


def train(make, host, labels, settings=QUICK, count=60, **kwargs):
    return train_guest(host, "Cu", make.functions, *(a[:count] for a in labels), settings, **kwargs)


def test_the_synthetic_gradient_is_right(host, labels):
    points, _, gradient = labels
    step = 1e-5
    for axis in range(3):
        shift = step * np.eye(3)[axis]
        numeric = (morse(host, points + shift)[0] - morse(host, points - shift)[0]) / (2 * step)
        np.testing.assert_allclose(gradient[:, axis], numeric, atol=1e-6)


def test_it_learns_a_landscape_from_few_labels(host, labels):
    """300 labels of a sum of pair potentials: unseen energies to 3 % of their spread, 5 meV on the labels."""
    shells = (1.3, 1.7, 2.1, 2.5, 2.9, 3.3, 3.7, 4.1)
    functions = DescriptorSet(tuple(Radial(name, 3.0, r, 4.5) for name in ("O", "Ta") for r in shells), ())
    settings = TrainingSettings(hidden=(9,), members=2, max_iterations=60, patience=30)
    potential = train_guest(host, "Cu", functions, *(a[:300] for a in labels), settings, seed=1)
    points, energies, gradients = (a[300:] for a in labels)
    alone = replace(potential, correction=None).landscape(host)
    predicted = alone.energy_and_gradient(points)
    assert np.sqrt(((predicted[0] - energies) ** 2).mean()) < 0.03 * energies.std()
    assert np.sqrt(((predicted[1] - gradients) ** 2).mean()) < 0.1 * gradients.std()
    landscape = potential.landscape(host)
    on_labels = landscape.energy_and_gradient(labels[0][:300])[0] - labels[1][:300]
    assert np.sqrt((on_labels**2).mean()) < 0.005
    # The committee's spread is of the size of its error.
    error = np.abs(predicted[0] - energies)
    assert 0.1 < np.median(alone.spread(points)) / np.median(error) < 10


def test_the_same_seed_gives_the_same_bytes_and_another_seed_does_not(make, host, labels, tmp_path):
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        save(train(make, host, labels, seed=seed), tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert (tmp_path / "a").read_bytes() != (tmp_path / "c").read_bytes()
    assert load(tmp_path / "a").summary["seed"] == 1


class KilledError(Exception):
    """What a test raises in the middle of a training."""


@pytest.mark.parametrize("when", [1, 13, 25, 38])
def test_a_killed_training_goes_on_to_the_same_digits(make, host, labels, tmp_path, when):
    whole = train(make, host, labels)

    def kill(done, total):
        if done >= when:
            raise KilledError

    with pytest.raises(KilledError):
        train(make, host, labels, checkpoint=tmp_path / "train", progress=kill)
    seen = []
    again = train(
        make,
        host,
        labels,
        checkpoint=tmp_path / "train",
        progress=lambda done, total: seen.append((done, total)),
    )
    assert np.array_equal(again.weights, whole.weights)
    assert np.array_equal(again.correction.coefficients, whole.correction.coefficients)
    assert seen[-1] == (50, 50)
    assert seen == sorted(seen)
    assert not list(tmp_path.glob("*.tmp"))


def test_a_checkpoint_of_another_training_is_not_used(make, host, labels, tmp_path):
    train(make, host, labels, seed=5, checkpoint=tmp_path / "train")
    for change in ({"seed": 6}, {"settings": replace(QUICK, decay=0.1)}, {"count": 70}):
        fresh = train(make, host, labels, **change)
        found = train(make, host, labels, checkpoint=tmp_path / "train", **change)
        assert np.array_equal(found.weights, fresh.weights)
    (tmp_path / "train.member0.npz").write_bytes(b"damaged")
    assert np.array_equal(train(make, host, labels, checkpoint=tmp_path / "train").weights,
                          train(make, host, labels).weights)  # fmt: skip


def test_bad_labels_are_named(make, host, labels):
    points, energies, gradients = (a[:60].copy() for a in labels)
    with pytest.raises(TrainingError, match="5 labels to train on; wanted at least 20"):
        train(make, host, labels, count=5)
    with pytest.raises(TrainingError, match="do not match"):
        train_guest(host, "Cu", make.functions, points, energies[:50], gradients, QUICK)
    with pytest.raises(TrainingError, match="guest is 'Cuprum'"):
        train_guest(host, "Cuprum", make.functions, points, energies, gradients, QUICK)
    gradients[17, 1] = np.nan
    with pytest.raises(TrainingError, match="label 17 holds a number that is not finite"):
        train_guest(host, "Cu", make.functions, points, energies, gradients, QUICK)
    with pytest.raises(TrainingError, match="did not find a finite loss"):
        train_guest(host, "Cu", make.functions, points, energies, np.full((60, 3), 1e200), QUICK)


@pytest.mark.parametrize(
    "change",
    [
        {"members": 0}, {"force_weight": 1.5}, {"validation_fraction": 0.0}, {"validation_fraction": 0.9},
        {"hidden": (9, 0)}, {"height_scale": 0.0}, {"decay": math.nan}, {"max_iterations": 0},
    ],
)  # fmt: skip
def test_impossible_settings_are_refused(change):
    with pytest.raises(TrainingError, match=next(iter(change))):
        replace(QUICK, **change)


def test_error_table_counts_and_is_plain_data():
    energies = np.array([-3.0, -2.5, -1.5, 0.5])
    errors = np.array([0.01, -0.01, 0.02, 0.1])
    table = error_table(
        energies,
        np.zeros((4, 3)),
        energies + errors,
        np.full((4, 3), 0.1),
        np.array([2.0, 1.8, 1.6, 1.3]),
        -3.0,
    )
    assert table["count"] == 4
    assert table["low_count"] == 2
    assert table["rmse_low_meV"] == pytest.approx(10.0)
    assert table["rmse_meV"] == pytest.approx(1e3 * np.sqrt((errors**2).mean()))
    assert table["gradient_rmse_eV_A"] == pytest.approx(0.1)
    assert sum(row["count"] for row in table["by_energy"]) == 4
    assert [row["rmse_meV"] for row in table["by_distance"]] == pytest.approx([100.0, 20.0, 10.0, 10.0])
    json.dumps(table, allow_nan=False)
    empty = error_table(np.zeros(0), np.zeros((0, 3)), np.zeros(0), np.zeros((0, 3)), np.zeros(0), 0.0)
    assert empty["rmse_meV"] is None
    assert parity({"train": (energies[:1], energies[1:2])}) == {
        "split": ["train"], "reference_eV": [-3.0], "predicted_eV": [-2.5],
    }  # fmt: skip
