"""Selection of functions: finds what was hidden, drops what says nothing new."""

import numpy as np
import pytest

from iondiff.descriptors import SymmetryFunction
from iondiff.descriptors.selection import (
    METHODS,
    LinearModel,
    by_structure,
    groups_of,
    principal_components,
    select,
)
from iondiff.errors import PotentialError


@pytest.fixture
def generator():
    return np.random.default_rng(5)


def model_of(values, target):
    scaled = (values - values.mean(axis=0)) / values.std(axis=0)
    return LinearModel(scaled.T @ scaled, scaled.T @ target, float(target @ target))


@pytest.mark.parametrize("method", ["lasso", "genetic"])
def test_the_functions_that_make_the_energy_are_found(generator, method):
    values = generator.normal(size=(400, 20))
    secret = [2, 7, 11, 19]
    target = values[:, secret] @ [3.0, -2.0, 1.5, 2.5]
    assert select(method, 4, values, model=model_of(values, target)).tolist() == secret


def test_a_group_enters_whole(generator):
    values = generator.normal(size=(400, 12))
    groups = np.arange(12) // 3
    target = values[:, [3, 4]] @ [3.0, -2.0] + 2.0 * values[:, 10]
    chosen = select("group-lasso", 6, values, model=model_of(values, target), groups=groups)
    assert chosen.tolist() == [3, 4, 5, 9, 10, 11]


@pytest.mark.parametrize("method", ["cur", "farthest", "pearson", "pca"])
def test_copies_are_left_out(generator, method):
    """Five independent columns, each three times, one copy with the other sign."""
    base = generator.normal(size=(300, 5)) @ np.linalg.qr(generator.normal(size=(5, 5)))[0]
    values = np.concatenate([base, 2.0 * base + 1.0, -base], axis=1)
    chosen = select(method, 5, values)
    if method == "pca":
        assert len(set(chosen)) == 5
    else:
        assert sorted(k % 5 for k in chosen) == [0, 1, 2, 3, 4]


def test_the_genetic_choice_is_as_good_as_the_best_of_all(generator):
    values = generator.normal(size=(60, 8)) @ generator.normal(size=(8, 8))
    model = model_of(values, generator.normal(size=60))
    from itertools import combinations

    best = min(model.error(c) for c in combinations(range(8), 3))
    assert model.error(select("genetic", 3, values, model=model)) == pytest.approx(best, rel=1e-9)


def test_whitening_gives_unit_covariance(generator):
    values = generator.normal(size=(500, 6)) @ generator.normal(size=(6, 6)) + 3.0
    mean, matrix = principal_components(values, 4)
    seen = (values - mean) @ matrix
    np.testing.assert_allclose(seen.T @ seen / len(seen), np.eye(4), atol=1e-10)


@pytest.mark.parametrize("method", [m for m in METHODS if m != "structure"])
def test_counts_seeds_and_limits(generator, method):
    values = generator.normal(size=(50, 9))
    model = model_of(values, generator.normal(size=50))
    chosen = select(method, 4, values, model=model, seed=3)
    assert 1 <= len(chosen) <= 4
    assert len(set(chosen)) == len(chosen)
    np.testing.assert_array_equal(chosen, select(method, 4, values, model=model, seed=3))
    np.testing.assert_array_equal(select(method, 20, values, model=model), np.arange(9))


def test_elements_named_by_the_user_are_kept():
    functions = [
        SymmetryFunction("G2", "Li", ("O",), 6.0),
        SymmetryFunction("G2", "Li", ("P",), 6.0),
        SymmetryFunction("G5", "Li", ("O", "P"), 6.0),
        SymmetryFunction("G5", "Li", ("O", "P"), 6.0, lam=-1.0),
    ]
    assert by_structure(functions, ["Li-O", "Li-PO"]) == [0, 2, 3]
    assert groups_of(functions)[2] == groups_of(functions)[3]
    with pytest.raises(
        PotentialError, match="no symmetry function is of Li-Cu; the set has Li-O, Li-P, Li-OP"
    ):
        by_structure(functions, ["Li-Cu"])


def test_what_is_wrong_is_said(generator):
    values = generator.normal(size=(10, 4))
    with pytest.raises(PotentialError, match="selection method is 'best'"):
        select("best", 2, values)
    with pytest.raises(PotentialError, match="wants a linear model"):
        select("lasso", 2, values)
    with pytest.raises(PotentialError, match="count is 0"):
        select("cur", 0, values)
