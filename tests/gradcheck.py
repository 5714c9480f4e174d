"""Is a backward the derivative of its forward?  And how close must two ways to compute the same thing be?

For y = f(x), a random direction v in x and a random weighing dy of y, the slope ⟨dy, J v⟩ is found twice: from two
values of f on either side of x, and as ⟨Jᵀ dy, v⟩ from the backward.  A wrong sign, a dropped term or swapped operands
make them differ with probability 1, and it costs two forwards however many numbers x has.
"""

import numpy as np

STEP = 1e-6  # of the distance between the two sides, in units of the operand's own magnitude

# Largest difference between two computations of the same array, as a share of its largest element (or of 1).
TOLERANCE = {"float32": 1e-4, "float64": 1e-12}


def assert_close(actual, expected, dtype):
    """Equal shapes, and every element within the tolerance of ``dtype``, relative to the largest; NaN where NaN is."""
    actual, expected = np.asarray(actual), np.asarray(expected)
    finite = expected[np.isfinite(expected)]
    scale = max(1.0, np.abs(finite).max(initial=0.0))
    np.testing.assert_allclose(actual, expected, rtol=0, atol=TOLERANCE[np.dtype(dtype).name] * scale)
    assert actual.shape == expected.shape


def gradcheck(f, f_backward, operands, constants=(), *, new, newly_allocated=True):
    """Check ``y, cache = f(*operands, *constants)`` and ``f_backward(dy, cache)``, a gradient for each of ``operands``.

    ``new`` (see `strategies.New`) makes dy and the directions.  No array given to either may change, backward must be
    repeatable, and what it returns shares no memory with what it was given, unless ``newly_allocated`` is False.
    """
    given = [*operands, *constants]
    before = [x.tobytes() for x in given]
    y, cache = f(*operands, *constants)
    dy = new(*np.shape(y)) if np.ndim(y) else float(new(1)[0])
    dy_before = np.asarray(dy).tobytes()
    grads = as_tuple(f_backward(dy, cache))
    again = as_tuple(f_backward(dy, cache))

    assert [x.tobytes() for x in given] == before, "an operand was written"
    assert np.asarray(dy).tobytes() == dy_before, "dy was written"
    assert [g.tobytes() for g in grads] == [g.tobytes() for g in again], (
        "the second backward differs: cache was written"
    )
    assert len(grads) == len(operands)
    if newly_allocated:
        arrays = [x for x in (*given, dy, *as_tuple(cache)) if isinstance(x, np.ndarray)]
        for i, gradient in enumerate(grads):
            assert not any(np.shares_memory(gradient, x) for x in arrays), f"gradient {i} is not newly allocated"
            assert not any(np.shares_memory(y, x) for x in given), "y is a view of an operand"

    for i, (x, gradient) in enumerate(zip(operands, grads, strict=True)):
        assert gradient.shape == x.shape
        assert gradient.dtype == x.dtype
        _check_slope(
            lambda side, i=i: f(*operands[:i], side, *operands[i + 1 :], *constants)[0], x, dy, gradient, new, i
        )


def _check_slope(f, x, dy, gradient, new, which):
    magnitude = np.sqrt(np.mean(np.square(x))) or 1.0
    direction = magnitude * new.rng.standard_normal(x.shape)
    up, down = f(x + STEP * direction), f(x - STEP * direction)
    shares = dy * (np.asarray(up) - np.asarray(down)) / (2 * STEP)  # of each element of y
    numeric, analytic = np.sum(shares), np.sum(gradient * direction)
    # Curvature, and the rounding of y and of what it is computed from, which the division by STEP blows up.
    rounding = 1e-15 / STEP * np.sum(np.abs(dy)) * max(magnitude, np.abs(up).max())
    allowed = 1e-5 * np.sum(np.abs(shares)) + rounding
    assert abs(numeric - analytic) <= allowed, (
        f"operand {which}, shape {x.shape}, strides {x.strides}: slope {numeric:.9g} by differences, {analytic:.9g} by "
        f"the backward; {abs(numeric - analytic):.1e} apart, allowed {allowed:.1e}"
    )


def as_tuple(value):
    """One result or several, as a tuple."""
    return value if isinstance(value, tuple) else (value,)
