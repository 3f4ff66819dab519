"""Large graph Laplacians: conjugate gradients preconditioned by a randomly thinned elimination.

Eliminating a site exactly joins all its neighbours; here each neighbour is joined to one later neighbour
only, drawn with the right expectation (Kyng and Sachdeva, arXiv:1605.02353). The factor has no more entries
than the graph, and it does not care how many orders of magnitude the conductances span.
"""
# ruff: noqa: C901, PLR0912, PLR0915 - loops over arrays, compiled as one piece

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit


@njit(cache=True)
def _uniform(state: Any) -> float:
    """Next number in [0, 1) of a small generator (xorshift64*), held in state[0]."""
    x = state[0]
    x ^= x >> np.uint64(12)
    x ^= x << np.uint64(25)
    x ^= x >> np.uint64(27)
    state[0] = x
    return float((x * np.uint64(0x2545F4914F6CDD1D)) >> np.uint64(11)) * 2.0**-53


@njit(cache=True)
def thinned_factor(n: int, source: Any, target: Any, strength: Any, seed: int) -> Any:
    """Approximate L D Lᵀ of the Laplacian of a connected graph, sites eliminated in order of their degree.

    Parameters
    ----------
    n, source, target, strength
        Pairs of sites (p,) and their conductances (p,); source differs from target.

    Returns
    -------
    order : (n,) sites, first eliminated first
    start, entry, value : columns of L in that order; value is the share of the conductance, all of one sign
    diagonal : (n,)
    """
    degree = np.zeros(n, dtype=np.int64)
    for e in range(len(source)):
        degree[source[e]] += 1
        degree[target[e]] += 1
    order = np.argsort(degree, kind="mergesort")
    rank = np.empty(n, dtype=np.int64)
    for turn in range(n):
        rank[order[turn]] = turn
    # Each conductance waits, in a linked list, at whichever of its ends goes first.
    other = np.empty(len(source), dtype=np.int64)
    weight = np.empty(len(source))
    following = np.empty(len(source), dtype=np.int64)
    head = np.full(n, -1, dtype=np.int64)
    for e in range(len(source)):
        i, j = source[e], target[e]
        if rank[i] > rank[j]:
            i, j = j, i
        other[e], weight[e], following[e] = j, strength[e], head[i]
        head[i] = e
    start = np.zeros(n + 1, dtype=np.int64)
    entry = np.empty(2 * len(source) + 16, dtype=np.int64)
    value = np.empty(2 * len(source) + 16)
    diagonal = np.zeros(n)
    seen = np.full(n, -1, dtype=np.int64)
    state = np.array([np.uint64(2 * seed + 1) * np.uint64(0x9E3779B97F4A7C15)], dtype=np.uint64)
    filled = 0
    for turn in range(n):
        k = order[turn]
        first = filled
        link = head[k]
        spare = -1  # freed links, reused for the conductances drawn below
        while link >= 0:
            j = other[link]
            if seen[j] >= first:
                value[seen[j]] += weight[link]
            else:
                if filled == len(entry):
                    entry = np.append(entry, np.empty_like(entry))
                    value = np.append(value, np.empty_like(value))
                seen[j] = filled
                entry[filled], value[filled] = j, weight[link]
                filled += 1
            after = following[link]
            following[link] = spare
            spare = link
            link = after
        start[turn + 1] = filled
        count = filled - first
        if count == 0:
            continue
        for a in range(count):
            seen[entry[first + a]] = -1
        by_weight = np.argsort(value[first:filled])
        neighbours = entry[first:filled][by_weight]
        conductances = value[first:filled][by_weight]
        tail = np.zeros(count + 1)  # sums of the larger conductances, from the largest down
        for a in range(count - 1, -1, -1):
            tail[a] = tail[a + 1] + conductances[a]
        total = tail[0]
        diagonal[k] = total
        for a in range(count):
            entry[first + a] = neighbours[a]
            value[first + a] = conductances[a] / total
        for a in range(count - 1):
            sought = _uniform(state) * tail[a + 1]
            b = count - 1
            passed = conductances[b]
            while passed <= sought and b > a + 1:
                b -= 1
                passed += conductances[b]
            i, j = neighbours[a], neighbours[b]
            if rank[i] > rank[j]:
                i, j = j, i
            link = spare
            spare = following[link]
            other[link], weight[link], following[link] = j, conductances[a] * (tail[a + 1] / total), head[i]
            head[i] = link
    return order, start, entry[:filled], value[:filled], diagonal


@njit(cache=True)
def _precondition(order: Any, start: Any, entry: Any, value: Any, diagonal: Any, y: Any) -> None:
    """Solve L D Lᵀ y = y in place."""
    n = len(order)
    for turn in range(n):
        own = y[order[turn]]
        for a in range(start[turn], start[turn + 1]):
            y[entry[a]] += value[a] * own
    for turn in range(n - 1, -1, -1):
        k = order[turn]
        total = y[k] / diagonal[k] if diagonal[k] > 0.0 else 0.0
        for a in range(start[turn], start[turn + 1]):
            total += value[a] * y[entry[a]]
        y[k] = total


@njit(cache=True)
def _laplacian(first: Any, neighbour: Any, strength: Any, x: Any, out: Any) -> None:
    """Out = L x, formed from differences of x."""
    for i in range(len(out)):
        total = 0.0
        for a in range(first[i], first[i + 1]):
            total += strength[a] * (x[i] - x[neighbour[a]])
        out[i] = total


@njit(cache=True)
def _neighbour_lists(n: int, source: Any, target: Any, strength: Any) -> Any:
    first = np.zeros(n + 1, dtype=np.int64)
    for e in range(len(source)):
        first[source[e] + 1] += 1
        first[target[e] + 1] += 1
    for i in range(n):
        first[i + 1] += first[i]
    place = first.copy()
    neighbour = np.empty(2 * len(source), dtype=np.int64)
    weight = np.empty(2 * len(source))
    for e in range(len(source)):
        i, j = source[e], target[e]
        neighbour[place[i]], weight[place[i]] = j, strength[e]
        place[i] += 1
        neighbour[place[j]], weight[place[j]] = i, strength[e]
        place[j] += 1
    return first, neighbour, weight


@njit(cache=True)
def conjugate_gradients(
    n: int,
    source: Any,
    target: Any,
    strength: Any,
    right: Any,
    tolerance: float,
    max_iterations: int,
    seed: int,
) -> Any:
    """Solve L χ = right for each column, L the Laplacian of a connected graph.

    Parameters
    ----------
    n, source, target, strength
        Pairs (p,) and their conductances (p,); source differs from target.
    right
        (n, columns), each column summing to zero.
    tolerance
        Of the residual in the norm of the preconditioner, relative to the right-hand side.

    Returns
    -------
    solution : (n, columns)
    residual : (columns,) reached
    iterations : (columns,)
    """
    order, start, entry, value, diagonal = thinned_factor(n, source, target, strength, seed)
    first, neighbour, weight = _neighbour_lists(n, source, target, strength)
    columns = right.shape[1]
    solution = np.zeros((n, columns))
    residual = np.zeros(columns)
    iterations = np.zeros(columns, dtype=np.int64)
    product = np.empty(n)
    for column in range(columns):
        x = np.zeros(n)
        r = right[:, column].copy()
        z = r.copy()
        _precondition(order, start, entry, value, diagonal, z)
        p = z.copy()
        rz = np.dot(r, z)
        begin = rz
        if begin == 0.0:
            continue
        residual[column] = 1.0
        while residual[column] > tolerance and iterations[column] < max_iterations:
            _laplacian(first, neighbour, weight, p, product)
            curvature = np.dot(p, product)
            if not curvature > 0.0:
                break
            step = rz / curvature
            for i in range(n):
                x[i] += step * p[i]
                r[i] -= step * product[i]
                z[i] = r[i]
            _precondition(order, start, entry, value, diagonal, z)
            old, rz = rz, np.dot(r, z)
            for i in range(n):
                p[i] = z[i] + (rz / old) * p[i]
            iterations[column] += 1
            residual[column] = np.sqrt(abs(rz) / begin)
        solution[:, column] = x
    return solution, residual, iterations
