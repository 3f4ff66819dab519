"""Two growing lists, of whole numbers and of reals, that a plan is written on."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np


class Sheet:
    """Records are appended and found again by where they start."""

    def __init__(self, header: int, reals_header: int) -> None:
        self.whole: list[int] = [0] * header
        self.real: list[float] = [0.0] * reals_header

    def add_whole(self, numbers: Iterable[int]) -> int:
        """Append whole numbers; where they start."""
        at = len(self.whole)
        self.whole.extend(int(n) for n in numbers)
        return at

    def add_real(self, numbers: Iterable[float]) -> int:
        """Append reals; where they start."""
        at = len(self.real)
        self.real.extend(float(x) for x in numbers)
        return at

    def arrays(self) -> tuple[np.ndarray, np.ndarray]:
        """The two lists as int64 and float64."""
        return np.array(self.whole, dtype=np.int64), np.array(self.real, dtype=np.float64)
