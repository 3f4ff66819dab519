"""Does the whole cell wander? Its mean place against what ions alone would do to it.

A barostat, a thermostat or a slow wave can move all atoms together. The mean of N independent ions moves N
times less than one of them; a mean that moves much faster is either a wandering cell or ions that go in
groups. In a wandering cell the atoms are independent about their mean, in groups they are not: that tells
the two apart.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import stats

from iondiff.analysis import _spectra
from iondiff.analysis.trajectory import Motion

Floats = npt.NDArray[np.float64]

#: The whole cell wanders if its mean place moves so much faster than independent atoms would let it.
WANDERS = 8.0
#: An octave has few frequencies: there by so much more that chance would do it only so often.
RARE = 1e-3
#: Fewer atoms cannot show it, and so many frequencies show how they go together.
FEWEST_ATOMS, MOST_MODES = 4, 64


def wandering(moving: Motion, spectra: _spectra.Spectra) -> float | None:
    """By how much the mean place is too fast, in the octave of frequencies where it is most so; None: it is not."""
    n = moving.n_atoms
    if n < FEWEST_ATOMS:
        return None
    common = spectra.common[:3].mean(axis=0) / n
    relative = spectra.relative(to_centre=True)[:3].mean(axis=0)
    last = min(max(12, moving.m // 16), moving.m)
    octaves = [
        (low, min(2 * low + 1, last)) for low in (2**k - 1 for k in range(last.bit_length())) if low < last
    ]
    worst, modes = 0.0, last
    for low, high in [(0, last), *octaves]:
        ratio = float(common[low:high].sum() / max(float(relative[low:high].sum()), 1e-300))
        count = 3 * (high - low)
        chance = 1.0 if (low, high) == (0, last) else float(stats.f.isf(RARE, count, count * (n - 1)))
        if ratio > max(WANDERS * chance, worst):
            worst, modes = ratio, high
    if worst > 0.0 and worst > WANDERS * together(moving, relative, min(modes, MOST_MODES)):
        return worst
    return None


def together(moving: Motion, relative: Floats, modes: int) -> float:
    """How many atoms go together, about their common mean: 1 if they are independent, g in groups of g.

    From the second moment of the eigenvalues of their covariance, which is that of a Wishart matrix where
    they are independent.
    """
    n = moving.n_atoms
    rows = []
    for part in moving.parts:
        low = _spectra.transform(moving.increments(part))[:, :, :modes]
        rows.append((low / np.sqrt(np.maximum(relative[:modes], 1e-300))).reshape(len(low), -1))
    table = np.concatenate(rows)
    table -= table.mean(axis=0)
    columns = table.shape[1]
    gram = table @ table.T if n < columns else table.T @ table
    share = float(np.sum(gram**2) / max(float(np.trace(gram)) ** 2, 1e-300))
    return max((n - 1) * (share - 1.0 / columns), 1.0)
