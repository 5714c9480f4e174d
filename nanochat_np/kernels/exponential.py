"""An exponential that LLVM can put into vector registers; the C library's is one call a number.

exp(x) = 2ⁿ · exp(r) with n = round(x / ln 2), |r| ≤ ln 2 / 2 (Cody & Waite 1980): exp(r) by its Taylor polynomial, 2ⁿ
by writing n into the exponent bits.  Within 2 units in the last place; what would be smaller than the smallest normal
number is about that number, NaN stays NaN.  Beyond 80 it is not looked after, as no softmax needs it.
"""

import math

import numpy as np
from numba import types
from numba.extending import overload

LOG2E = 1 / math.log(2)
_F32, _F64 = np.float32, np.float64
# ln 2 in two parts, the first with trailing zeros so that n · LN2_HIGH is exact.
_HIGH32, _LOW32 = _F32(0.693359375), _F32(-2.12194440e-4)
_HIGH64, _LOW64 = 6.93145751953125e-1, 1.42860682030941723212e-6
_TAYLOR32 = tuple(_F32(1 / math.factorial(i)) for i in range(7, 0, -1))
_TAYLOR64 = tuple(1 / math.factorial(i) for i in range(13, 0, -1))
_SMALLEST32, _SMALLEST64 = _F32(-87.0), -708.0
_LOG2E32 = _F32(LOG2E)


def exp(x: float) -> float:
    """exp(x) for x ≤ 80, inside compiled code (see the module)."""
    return math.exp(x)


def expm1(x: float) -> float:
    """exp(x) − 1 for x ≤ 80, precise near 0 as well, in code that is compiled without re-association."""
    return math.expm1(x)


def _parts(x: float) -> tuple[float, float]:
    """exp(r) − 1 and 2ⁿ."""
    raise NotImplementedError  # in compiled code only


@overload(_parts, inline="always")
def _(x):  # type: ignore[no-untyped-def]
    if x == types.float32:

        def parts32(x):  # type: ignore[no-untyped-def]
            x = _SMALLEST32 if x < _SMALLEST32 else x
            n = np.floor(x * _LOG2E32 + _F32(0.5))
            r = (x - n * _HIGH32) - n * _LOW32
            t = _TAYLOR32
            y = ((((((t[0] * r + t[1]) * r + t[2]) * r + t[3]) * r + t[4]) * r + t[5]) * r + t[6]) * r
            return y, np.int32((np.int32(n) + np.int32(127)) << np.int32(23)).view(np.float32)

        return parts32

    def parts64(x):  # type: ignore[no-untyped-def]
        x = _SMALLEST64 if x < _SMALLEST64 else x
        n = np.floor(x * LOG2E + 0.5)
        r = (x - n * _HIGH64) - n * _LOW64
        t = _TAYLOR64
        y = ((((((t[0] * r + t[1]) * r + t[2]) * r + t[3]) * r + t[4]) * r + t[5]) * r + t[6]) * r + t[7]
        y = (((((y * r + t[8]) * r + t[9]) * r + t[10]) * r + t[11]) * r + t[12]) * r
        return y, np.int64((np.int64(n) + np.int64(1023)) << np.int64(52)).view(np.float64)

    return parts64


@overload(exp, inline="always")
def _(x):  # type: ignore[no-untyped-def]
    def exponential(x):  # type: ignore[no-untyped-def]
        y, power = _parts(x)
        return y * power + power

    return exponential


@overload(expm1, inline="always")
def _(x):  # type: ignore[no-untyped-def]
    def exponential(x):  # type: ignore[no-untyped-def]
        y, power = _parts(x)
        return y * power + (power - type(x)(1))

    return exponential
