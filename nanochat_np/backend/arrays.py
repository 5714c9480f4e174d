"""The module of an array: NumPy or CuPy, decided by the array itself and never by a global flag."""

import sys
from types import ModuleType
from typing import Any

import numpy as np

# NumPy's and CuPy's arrays share their interface but no type; kernels and ops take either.
Array = Any


def array_module(*arrays: Array) -> ModuleType:
    """Return ``cupy`` if any argument lives on a GPU, else ``numpy``.  Never imports CuPy."""
    cupy = sys.modules.get("cupy")
    if cupy is not None and any(isinstance(a, cupy.ndarray) for a in arrays):
        return cupy
    return np


def to_numpy(array: Array) -> np.ndarray:
    """The same values as a NumPy array; waits for the GPU where they are there."""
    return np.asarray(array.get() if array_module(array) is not np else array)


def statistics_dtype(dtype: np.dtype) -> type:
    """Precision of sums and exponentials over values of ``dtype``: float64 for float64, float32 for all others."""
    return np.float64 if dtype == np.float64 else np.float32
