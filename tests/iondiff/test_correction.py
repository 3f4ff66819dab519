"""The kernel correction: a proper covariance, an interpolation, a potential."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from iondiff.errors import TrainingError
from iondiff.files import host_fingerprint
from iondiff.potentials._kernels_guest import wendland
from iondiff.training import fit_correction
from iondiff.training.correction import covariance_matrix


def random_cell(seed, length=5.0):
    generator = np.random.default_rng(seed)
    return length * (np.eye(3) + 0.35 * generator.uniform(-1, 1, (3, 3)))


def test_wendlands_function_and_its_derivatives():
    r, step = np.linspace(0.05, 0.95, 19), 1e-5

    def phi(r):
        return (1 - r) ** 8 * (32 * r**3 + 25 * r**2 + 8 * r + 1)

    def slope_over_r(r):
        return (phi(r + step) - phi(r - step)) / (2 * step) / r

    value, first, second = wendland(r)
    np.testing.assert_allclose(value, phi(r), rtol=1e-12)
    np.testing.assert_allclose(first, slope_over_r(r), rtol=1e-4, atol=1e-7)
    step_second = (wendland(r + step)[1] - wendland(r - step)[1]) / (2 * step) / r
    np.testing.assert_allclose(second, step_second, rtol=1e-4, atol=1e-6)
    assert wendland(0.0)[0] == 1.0
    assert wendland(1.0) == (0.0, 0.0, 0.0)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([1.5, 2.5, 4.0, 9.0]))
def test_covariance_is_symmetric_and_positive(seed, support):
    """In triclinic cells, with supports below and above the cell."""
    cell = random_cell(seed)
    points = np.random.default_rng(seed).uniform(-1, 2, (8, 3)) @ cell
    matrix = covariance_matrix(points, points, cell, support)
    np.testing.assert_allclose(matrix, matrix.T, atol=1e-10 * matrix.max())
    lowest = np.linalg.eigvalsh(matrix)[0]
    assert lowest > -1e-9 * matrix.max()
    if support < 3:
        assert lowest > 0


@pytest.mark.parametrize("support", [2.0, 7.0])
def test_covariance_is_the_sum_over_images_and_its_derivatives(support):
    cell = random_cell(4)
    a, b = np.random.default_rng(0).uniform(-1, 2, (2, 4, 3)) @ cell
    images = np.array(list(itertools.product(range(-6, 7), repeat=3))) @ cell

    def value(x, y):
        r = np.linalg.norm(x - y + images, axis=1) / support
        return wendland(r[r < 1])[0].sum()

    block = covariance_matrix(a, b, cell, support).reshape(4, 4, 4, 4)
    step, unit = 1e-3, np.eye(3)
    for i, j in itertools.product(range(4), range(4)):
        assert block[i, 0, j, 0] == pytest.approx(value(a[i], b[j]), abs=1e-12)
        for p in range(3):
            h = step * unit[p]
            left = (value(a[i] + h, b[j]) - value(a[i] - h, b[j])) / (2 * step)
            right = (value(a[i], b[j] + h) - value(a[i], b[j] - h)) / (2 * step)
            assert block[i, 1 + p, j, 0] == pytest.approx(left, abs=1e-4)
            assert block[i, 0, j, 1 + p] == pytest.approx(right, abs=1e-4)
            for q in range(3):
                k = step * unit[q]
                mixed = value(a[i] + h, b[j] + k) - value(a[i] + h, b[j] - k)
                mixed -= value(a[i] - h, b[j] + k) - value(a[i] - h, b[j] - k)
                assert block[i, 1 + p, j, 1 + q] == pytest.approx(mixed / (4 * step**2), abs=1e-3)


@pytest.mark.parametrize("support", [2.5, 8.0])
def test_it_interpolates_energies_and_gradients(make, host, support):
    generator = np.random.default_rng(5)
    points = generator.uniform(-1, 2, (20, 3)) @ host.cell.array
    residuals = generator.normal(0, 0.1, (20, 4))
    correction, evidence = fit_correction(
        points, residuals, host.cell.array, host_fingerprint(host), support,
        energy_noise=1e-6, gradient_noise=1e-6,
    )  # fmt: skip
    assert np.isfinite(evidence)
    potential = make.potential(wall=0.0)
    plain = potential.landscape(host).energy_and_gradient(points)
    with_it = replace(potential, correction=correction).landscape(host).energy_and_gradient(points)
    np.testing.assert_allclose(with_it[0] - plain[0], residuals[:, 0], atol=2e-6)
    np.testing.assert_allclose(with_it[1] - plain[1], residuals[:, 1:], atol=2e-5)


def test_noise_is_not_chased(host):
    """With labels as noisy as the prior is wide, about half of a lone residual is believed."""
    points = np.array([[1.0, 1.0, 1.0]])
    residual = np.array([[0.2, 0.0, 0.0, 0.0]])
    correction, _ = fit_correction(
        points, residual, host.cell.array, "x", 2.5, amplitude=0.3, energy_noise=0.3, gradient_noise=0.3
    )
    assert correction.coefficients[0, 0] == pytest.approx(0.1, abs=1e-12)


def test_nothing_is_felt_beyond_the_support(make, host):
    points = np.array([[1.0, 1.0, 1.0]])
    correction, _ = fit_correction(
        points, np.ones((1, 4)), host.cell.array, host_fingerprint(host), support=1.0
    )
    far = points + np.array([1.01, 0.0, 0.0])
    potential = make.potential(wall=0.0)
    changed = replace(potential, correction=correction).landscape(host).energy_and_gradient(far)
    assert np.array_equal(changed[0], potential.landscape(host).energy_and_gradient(far)[0])


def test_refusals(host):
    points = np.zeros((2, 3))  # the same point twice, with no noise allowed
    with pytest.raises(TrainingError, match="not positive definite; raise energy_noise"):
        fit_correction(points, np.zeros((2, 4)), host.cell.array, "x", energy_noise=0, gradient_noise=0)
    with pytest.raises(TrainingError, match="wanted \\(2, 4\\)"):
        fit_correction(points, np.full((2, 4), np.nan), host.cell.array, "x")
