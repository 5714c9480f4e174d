"""The kernels of the nanochat GPT and their references compute the same thing, whatever strides they are given."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nanochat_np import kernels
from nanochat_np.nn import gpt  # noqa: F401  fills the table
from tests.gradcheck import assert_close
from tests.kernels import test_parity
from tests.strategies import New, few, news, sizes


def add_to(new, lead, C, a):
    return new.plain(*lead, C), new(*lead, C), a


def relu_squared_again(new, lead, C):
    return ((new(*lead, C),),)


def add_norm(new, lead, C):
    return new(*lead, C), new(*lead, C), 1e-3


def add_norm_backward(new, lead, C):
    return new(*lead, C), new(*lead, C), (new(*lead, C), new(*lead, 1))


def mix_norm(new, lead, C, a):
    return new(*lead, C), new(*lead, C), new.number(a), new.number(-0.3), 1e-3


def mix_norm_again(new, lead, C, a):
    return ((new(*lead, C), new(*lead, C), new.number(a), new.number(-0.3), new(*lead, 1)),)


def mix_norm_backward(new, lead, C, a):
    return new(*lead, C), new(*lead, C), new(*lead, C), *mix_norm_again(new, lead, C, a)


def embedding_norm(new, lead, V, C):
    return new(V, C), new.integers(V, *lead), 1e-3


def add_embedding_backward(new, lead, V, C):
    return new.plain(V, C), new(*lead, C), new.integers(V, *lead)


def gated_embedding(new, B, T, V, K, D):
    return new(B, T, K, D), new(B, T, K), new(V, K * D), new.integers(V, B, T)


def gated_embedding_backward(new, B, T, V, K, D):
    return new.plain(V, K * D), new(B, T, K, D), gated_embedding(new, B, T, V, K, D)[1:], new.integers(V, B, T)


def smear(new, B, T, C):
    return new(B, T, C), new(1, C), new(1)


def smear_backward(new, B, T, C):
    return new(B, T, C), (new(B, T, C), new(B, T - 1, 1), new(1, C), new(1))


def rotary_norm(new, B, T, H, D):
    return new(B, T, H, 2 * D), np.cos(new.plain(T, D)), np.sin(new.plain(T, D)), 1.2, 1e-3


def rotary_norm_backward(new, B, T, H, D):
    return new(B, T, H, 2 * D), (new(B, T, H, 2 * D), new(B, T, H, 1), new.plain(T, D), new.plain(T, D), 1.2)


def causal_softmax(new, lead, T, earlier, window):
    return new(*lead, T, T + earlier), 0.7, earlier, window


def causal_softmax_backward(new, lead, T, earlier, window):
    scores = new(*lead, T, T + earlier)
    lse = 0.7 * scores.max(-1) + 1
    return new(*scores.shape), scores, lse, new(*lse.shape), 0.7, earlier, window


def head_dots(new, B, T, H, D):
    return new(B, H, T, D), new(B, H, T, D)


def capped_cross_entropy(new, N, V, share):
    return new.plain(N, V), new.integers(V + 1, N) - 1, 2.0, new.plain(N) if share else None


WRITTEN = {  # how many of its first arguments an operation changes
    "add_to": 1,
    "add_embedding_backward": 1,
    "gated_embedding_backward": 1,
    "capped_cross_entropy": 1,
}
CONSUMED = {"causal_softmax": 1, "causal_softmax_backward": 2}  # and may leave anything in
CASES = {name: globals()[name] for name in kernels.TABLE if name in globals()}
LARGE = {"lead": (3, 277), "C": 333, "B": 9, "T": 67, "H": 3, "D": 150, "K": 3, "V": 2029, "N": 199}
LARGE |= {"a": 0.5, "share": 0.25, "earlier": 7, "window": 20}
DRAWN = {
    "lead": st.lists(sizes, max_size=2).map(tuple),
    "a": st.sampled_from([0.0, 1.0, -0.7]),
    "earlier": st.integers(0, 3),
    "window": st.one_of(st.none(), st.integers(0, 4)),
    "share": st.sampled_from([None, 0.25]),
}


def agree(name, new, **drawn):
    """Call the kernel and the reference, each with arguments of its own that are alike."""
    given, results = [], []
    with kernels.reference_only():  # what a reference calls is a reference too
        for version in (kernels.kernel(name), kernels.reference(name)):
            given.append(arguments_of(name, new, **drawn))
            result = version(*given[-1])
            written = given[-1][:1] if name in WRITTEN and drawn.get("share", 1) else ()
            results.append(arrays((result, written)))
    for actual, expected in zip(*results, strict=True):
        assert actual.dtype == expected.dtype
        assert_close(actual, expected, new.dtype)
    kept = WRITTEN.get(name, 0) + CONSUMED.get(name, 0)
    before = arguments_of(name, new, **drawn)
    for arguments in given:
        for array, expected in zip(arrays(arguments[kept:]), arrays(before[kept:]), strict=True):
            np.testing.assert_array_equal(array, expected)


def arguments_of(name, new, **drawn):
    new = replace(new)  # begins again
    new.number = np.dtype(new.dtype).type
    new.plain = lambda *shape: np.ascontiguousarray(new(*shape))
    return CASES[name](new, **drawn)


def parameters(name):
    code = CASES[name].__code__
    return code.co_varnames[1 : code.co_argcount]


def arrays(values):
    """Arrays and NumPy's numbers in nested tuples."""
    if isinstance(values, tuple):
        return [array for value in values for array in arrays(value)]
    return [values] if isinstance(values, np.ndarray | np.generic) else []


@pytest.mark.parametrize("name", CASES)
@few
@given(data=st.data(), new=news("float32", "float64"))
def test_kernel_and_reference_agree(name, data, new):
    agree(name, new, **{letter: data.draw(DRAWN.get(letter, sizes)) for letter in parameters(name)})


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_they_agree_where_threads_share_the_work(name):
    agree(name, New(dtype="float32"), **{letter: LARGE[letter] for letter in parameters(name)})


# Those that have files of tests of their own.
ALONE = {"matrix_product", "panels_of", "stack_product", "symmetric_stack_product"} | {
    "blockwise_attention",
    "blockwise_attention_backward",
}


def test_all_kernels_are_tested():
    others = {*test_parity.FUSED, *(f"{name}_backward" for name in test_parity.FUSED)} & set(kernels.TABLE)
    optimizers = {name for name, module in kernels.TABLE.items() if module in {"optimizers", "muon", "polar_express"}}
    assert set(kernels.TABLE) == {*CASES, *ALONE} | others | optimizers  # which have tests of their own
