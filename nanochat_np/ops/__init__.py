"""Stateless forward/backward pairs: the whole calculus of the models.

    y, cache = op(x, ...)
    dx, ...  = op_backward(dy, cache)

The cache holds exactly what the backward needs.  No operand is ever written.  The incoming gradient comes first.
Every name works on NumPy's and CuPy's arrays alike; where a fused CPU kernel exists (``nanochat_np.kernels``) it runs
instead, and a test holds the two together.

Letters: B batch, T time (positions), C channels (width), H heads, D width of a head, V vocabulary, N rows.
x y are values, dx dy the derivatives of the loss with respect to them, w dw weights and theirs.
"""

from nanochat_np.ops.activation import relu_squared, relu_squared_backward
from nanochat_np.ops.attention import causal_attention, causal_attention_backward, merge_heads, split_heads
from nanochat_np.ops.embedding import embedding, embedding_backward
from nanochat_np.ops.linear import linear, linear_backward
from nanochat_np.ops.loss import (
    cross_entropy_of_counts,
    cross_entropy_of_counts_backward,
    log_softmax,
    softmax_cross_entropy,
    softmax_cross_entropy_backward,
)
from nanochat_np.ops.norm import rms_norm, rms_norm_backward
from nanochat_np.ops.residual import add, add_backward

__all__ = [
    "add",
    "add_backward",
    "causal_attention",
    "causal_attention_backward",
    "cross_entropy_of_counts",
    "cross_entropy_of_counts_backward",
    "embedding",
    "embedding_backward",
    "linear",
    "linear_backward",
    "log_softmax",
    "merge_heads",
    "relu_squared",
    "relu_squared_backward",
    "rms_norm",
    "rms_norm_backward",
    "softmax_cross_entropy",
    "softmax_cross_entropy_backward",
    "split_heads",
]
