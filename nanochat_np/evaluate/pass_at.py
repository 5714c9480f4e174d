"""pass@k: the chance that one of k answers is right, from n answers to each problem.

    pass@k = mean over problems of  1 − C(n − c, k) / C(n, k),   c of n answers are right

That is unbiased: all choices of k of the n count, not the first k alone.  Source: Chen et al. 2021, arXiv:2107.03374,
section 2.1.
"""

from collections.abc import Sequence
from math import comb


def pass_at(k: int, right: Sequence[int], samples: int) -> float:
    """``right`` is how many of ``samples`` answers to each problem are right; 1 <= k <= samples."""
    return sum(1 - comb(samples - count, k) / comb(samples, k) for count in right) / len(right)


def ks(samples: int) -> list[int]:
    """The powers of two up to ``samples``, and that itself."""
    return sorted({samples, *(1 << bit for bit in range(samples.bit_length()))})
