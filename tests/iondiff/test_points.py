"""Where to label: the wanted shares, the same points again, different from each other."""

import itertools

import numpy as np
import pytest
from ase import Atoms

from iondiff.errors import HostError, LabelError
from iondiff.sampling import draw_points
from iondiff.sampling.points import nearest_distance


def test_distances_are_those_of_all_images(make):
    host = make.host([[3.1, 0.0, 0.0], [1.2, 2.9, 0.0], [0.3, -0.8, 3.3]], 2)
    points = np.random.default_rng(0).uniform(-1, 2, (30, 3)) @ host.cell.array
    images = np.array(list(itertools.product(range(-5, 6), repeat=3))) @ host.cell.array
    all_atoms = (host.positions[:, None] + images).reshape(-1, 3)
    expected = np.linalg.norm(points[:, None] - all_atoms, axis=-1).min(axis=1)
    np.testing.assert_allclose(nearest_distance(host, points), expected, atol=1e-10)
    host.pbc = False  # the cell is periodic wherever this project looks at it
    np.testing.assert_allclose(nearest_distance(host, points), expected, atol=1e-10)


def test_points_lie_on_the_grid_once_and_at_the_wanted_distances(host):
    grid = (20, 18, 22)
    points, indices = draw_points(host, 500, grid, ((1.2, 0.3), (1.7, 1.0)), seed=4)
    np.testing.assert_allclose(points, indices / np.array(grid) @ host.cell.array)
    assert len(np.unique(indices, axis=0)) == 500
    assert (indices >= 0).all()
    assert (indices < grid).all()
    assert nearest_distance(host, points).min() >= 1.2


def test_shares_are_kept_within_four_sigmas(host):
    grid = (24, 24, 24)
    every = np.stack(np.unravel_index(np.arange(24**3), grid), axis=1) / 24 @ host.cell.array
    nearest = nearest_distance(host, every)
    wall, free = ((nearest >= 1.2) & (nearest < 1.7)).sum(), (nearest >= 1.7).sum()
    points, _ = draw_points(host, 1500, grid, ((1.2, 0.25), (1.7, 1.0)), seed=0)
    share = (nearest_distance(host, points) < 1.7).mean()
    expected = 0.25 * wall / (0.25 * wall + free)
    assert abs(share - expected) < 4 * np.sqrt(expected * (1 - expected) / 1500)


def test_a_shell_can_be_left_out(host):
    points, _ = draw_points(host, 50, (20, 20, 20), ((1.1, 1.0), (1.4, 0.0)), seed=2)
    nearest = nearest_distance(host, points)
    assert nearest.min() >= 1.1
    assert nearest.max() < 1.4


def test_a_shorter_draw_is_the_beginning_of_a_longer_one(host):
    longest = draw_points(host, 2500, seed=7)[0]
    for count in (0, 1, 10, 900):
        assert np.array_equal(draw_points(host, count, seed=7)[0], longest[:count])
    assert not np.array_equal(draw_points(host, 10, seed=8)[0], longest[:10])


def test_refusals(host):
    with pytest.raises(LabelError, match=r"1000 label points .* holds only \d+ .* finer grid"):
        draw_points(host, 1000, (5, 5, 5))
    for grid in ((0, 5, 5), (-2, -2, 5), (5, 5), (2.5, 2, 2)):
        with pytest.raises(LabelError, match="at least one point"):
            draw_points(host, 1, grid)
    with pytest.raises(LabelError, match="wanted 0 or more"):
        draw_points(host, -1)
    for keep in ((), ((1.0, 2.0),)):
        with pytest.raises(LabelError, match="fraction from 0 to 1"):
            draw_points(host, 1, keep=keep)
    with pytest.raises(HostError, match="no cell"):
        draw_points(Atoms("Ta", positions=[[0, 0, 0]]), 1)
