"""What properties are tested on: shapes down to size 1, strides that are not plain, magnitudes over a wide range."""

from dataclasses import dataclass, field

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st

# A quarter of the profile's examples: each one is a whole check, and there are many properties.
few = settings(max_examples=settings.default.max_examples // 4)

seeds = st.integers(0, 2**32 - 1)
sizes = st.integers(1, 4)


def _sliced(values):
    wide = np.empty((*values.shape[:-1], 2 * values.shape[-1]), values.dtype)
    wide[..., ::2] = values
    return wide[..., ::2]


LAYOUTS = {
    "contiguous": lambda x: x,
    "transposed": lambda x: x.T.copy().T,
    "heads": lambda x: (
        x.swapaxes(-3, -2).copy().swapaxes(-3, -2) if x.ndim > 2 else x
    ),  # as `ops.split_heads` leaves it
    "sliced": _sliced,
    "reversed": lambda x: x[..., ::-1].copy()[..., ::-1],
}


@dataclass
class New:
    """Makes arrays of normal numbers: ``new(2, 3)``; one seed, strides, magnitude and precision for all of them."""

    seed: int = 0
    layout: str = "contiguous"
    magnitude: float = 1.0
    dtype: str = "float64"
    rng: np.random.Generator = field(init=False, repr=False)

    def __post_init__(self):
        self.rng = np.random.default_rng(self.seed)

    def __call__(self, *shape):
        return LAYOUTS[self.layout]((self.magnitude * self.rng.standard_normal(shape)).astype(self.dtype))

    def integers(self, high, *shape):
        """Integers in [0, high)."""
        return np.asarray(self.rng.integers(0, high, shape))


def news(*dtypes):
    """Makers of arrays in one of ``dtypes``."""
    return st.builds(
        New, seeds, st.sampled_from(list(LAYOUTS)), st.sampled_from([1e-3, 1.0, 5.0]), st.sampled_from(dtypes)
    )
