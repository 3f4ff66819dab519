"""Where carriers begin: in equilibrium, as far as exclusion alone knows it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from scipy.optimize import brentq

from kmc._bits import fold
from kmc._random import ADVANCE
from kmc.network import Floats

#: Attempted exchanges a site, to make the fixed number of carriers forget how it was reached.
SWEEPS = 40


def starting_sites(
    log_weights: Floats, cells: int, counts: list[int], rng: np.random.Generator, *, sweeps: int = SWEEPS
) -> Any:
    """Carrier on each site, (sites,), int32, −1 for none.

    Parameters
    ----------
    log_weights
        (species, basis), logarithm of the equilibrium weight of each site for one carrier.
    cells
        Copies of the basis.
    counts
        Carriers of each species; they are numbered species by species.
    sweeps
        Attempted exchanges a site; without them occupations are right on the average only.
    """
    n = log_weights.shape[1] * cells
    who = np.full(n, -1, dtype=np.int32)
    first = 0
    for weights, count in zip(log_weights, counts, strict=True):
        empty = np.nonzero(who < 0)[0]
        each = np.tile(weights, cells)[empty]
        taken = empty[_draw(each - each.max(), count, rng, sweeps)]
        who[taken] = first + rng.permutation(count)
        first += count
    return who


def _draw(log_weights: Floats, count: int, rng: np.random.Generator, sweeps: int) -> Any:
    """Which `count` of the sites are taken, by their weights."""
    n = len(log_weights)
    if count == n or np.ptp(log_weights) == 0.0:
        return rng.permutation(n)[:count]

    def excess(level: float) -> float:
        return float((1.0 / (1.0 + np.exp(np.clip(level - log_weights, -700, 700)))).sum() - count)

    low, high = log_weights.min() - np.log(n) - 50.0, log_weights.max() + np.log(n) + 50.0
    share = 1.0 / (1.0 + np.exp(np.clip(brentq(excess, low, high) - log_weights, -700, 700)))
    # Sites by how far the dice were above or below their share; the first `count` of them.
    taken = np.zeros(n, dtype=bool)
    taken[np.argsort(rng.random(n) - share, kind="stable")[:count]] = True
    sites = np.concatenate([np.nonzero(taken)[0], np.nonzero(~taken)[0]])
    key, state = (rng.integers(0, 2**63, dtype=np.uint64) for _ in range(2))
    _exchange(sites, count, log_weights, sweeps * n, key | np.uint64(1), state)
    return sites[:count]


@njit(cache=True)
def _exchange(sites: Any, count: int, log_weights: Any, attempts: int, key: Any, state: Any) -> None:
    """Metropolis exchanges of a taken and an empty site, anywhere."""
    word = np.uint64
    for _ in range(attempts):
        state += ADVANCE
        bits = fold(state, state ^ key)
        a = np.int64(((bits >> word(32)) * word(count)) >> word(32))
        b = count + np.int64(((bits & word(0xFFFFFFFF)) * word(len(sites) - count)) >> word(32))
        gain = log_weights[sites[b]] - log_weights[sites[a]]
        state += ADVANCE
        u = (float(fold(state, state ^ key) >> word(11)) + 0.5) * 2.0**-53
        if gain >= 0.0 or u < np.exp(gain):
            sites[a], sites[b] = sites[b], sites[a]
