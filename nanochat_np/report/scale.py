"""The range of an axis, its round numbers, and where a number lies on it."""

import math
from collections.abc import Sequence

LARGEST = 1e300  # what is beyond stands at the edge: differences of larger numbers are infinite
Range = tuple[float, float]


def widened(values: Sequence[float], margin: float) -> Range:
    """Least and greatest, with a margin as a share of what lies between, and never the same."""
    low, high = min(values, default=0.0), max(values, default=1.0)
    size = max(abs(low), abs(high))
    if high - low <= max(1e-9 * size, 1e-290):
        half = 0.05 * size if size > 1e-280 else 1.0
        return low - half, high + half
    more = margin * (high - low)
    return low - more, high + more


def ticks(low: float, high: float, about: int) -> list[float]:
    """About so many round numbers from ``low`` to ``high``: multiples of 1, 2 or 5 times a power of ten."""
    rough = (high - low) / about
    power = 10.0 ** math.floor(math.log10(rough))
    step = next((power * factor for factor in (1, 2, 5) if power * factor >= rough), power * 10)
    return [k * step for k in range(math.ceil(low / step), math.floor(high / step) + 1)]


def clipped(value: float) -> float:
    """The number, or the one at the edge."""
    return min(max(value, -LARGEST), LARGEST)


def share(value: float, within: Range) -> float:
    """Where a finite number lies: 0 at the low end of a range, 1 at the high one."""
    low, high = within
    return min(max((clipped(value) - low) / (high - low), 0.0), 1.0)
