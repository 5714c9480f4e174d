"""The operations of a language model recorded on a tape, scalar by scalar: names and parameters are those of ``ops``.

Here an array holds nodes instead of numbers, and where an operation takes token ids it takes input slots: positions
in the window that a replay will be given.  Each operation returns ``(y, None)``, since the tape itself is the cache.
"""

import math

import numpy as np

from nanochat_np.scalar.derived import div, max_over, mean_over, neg, sub, sum_over
from nanochat_np.scalar.recording import Ids
from nanochat_np.scalar.tape import Tape


class ScalarOps:
    """Forward operations that record on ``tape``; backward is the tape's."""

    def __init__(self, tape: Tape) -> None:
        self.tape = tape

    def embedding(self, w: Ids, idx: Ids) -> tuple[Ids, None]:
        """y[..., :] = w[token at slot idx[...]].   w (V, C), idx (...) slots; returns y (..., C)."""
        return self.tape.gather(np.swapaxes(w, 0, 1), np.asarray(idx)[..., None]), None

    def linear(self, x: Ids, w: Ids) -> tuple[Ids, None]:
        """y = x wᵀ.   x (..., I), w (O, I); returns y (..., O)."""
        return sum_over(self.tape, self.tape.mul(x[..., None, :], w)), None

    def rms_norm(self, x: Ids, eps: float = 1e-5) -> tuple[Ids, None]:
        """y = x / sqrt(mean(x², -1) + eps).   x (..., C)."""
        tape = self.tape
        mean_square = mean_over(tape, tape.mul(x, x))
        rstd = tape.pow(tape.add(mean_square, tape.constant(eps)), -0.5)
        return tape.mul(x, rstd[..., None]), None

    def relu_squared(self, x: Ids) -> tuple[Ids, None]:
        """y = relu(x)².   x (...)."""
        rectified = self.tape.relu(x)
        return self.tape.mul(rectified, rectified), None

    def add(self, x: Ids, y: Ids) -> tuple[Ids, None]:
        """x + y: the residual sum.   x, y (...), broadcasting."""
        return self.tape.add(x, y), None

    def causal_attention(self, q: Ids, k: Ids, v: Ids) -> tuple[Ids, None]:
        """o_t = Σ_{s ≤ t} softmax_s(q_t · k_s / sqrt(D)) v_s.   q, k, v (B, H, T, D); returns o (B, H, T, D).

        What lies in the future of a query is not recorded.
        """
        tape = self.tape
        time, head_dim = q.shape[-2:]
        scale = tape.constant(1.0 / math.sqrt(head_dim))
        outputs = []
        for t in range(time):
            past = np.s_[..., : t + 1, :]
            scores = tape.mul(sum_over(tape, tape.mul(q[..., t : t + 1, :], k[past])), scale)  # (B, H, t + 1)
            e = tape.exp(self._shifted(scores))
            p = div(tape, e, sum_over(tape, e)[..., None])
            outputs.append(sum_over(tape, tape.mul(p[..., None], v[past]), axis=-2))  # (B, H, D)
        return np.stack(outputs, axis=-2), None

    def softmax_cross_entropy(self, logits: Ids, targets: Ids) -> tuple[Ids, None]:
        """mean over rows of  log Σ_j exp(z_j) - z_target.   logits (..., V), targets (...) slots; returns a node ()."""
        tape = self.tape
        z = self._shifted(logits)
        losses = sub(tape, tape.log(sum_over(tape, tape.exp(z))), tape.gather(z, targets))
        return np.asarray(mean_over(tape, losses.reshape(-1))), None

    def split_heads(self, x: Ids, n_head: int) -> Ids:
        """x (B, T, C) -> (B, H, T, C / H)."""
        batch, time, width = x.shape
        return x.reshape(batch, time, n_head, width // n_head).swapaxes(1, 2)

    def merge_heads(self, x: Ids) -> Ids:
        """x (B, H, T, D) -> (B, T, H·D)."""
        batch, n_head, time, head_dim = x.shape
        return x.swapaxes(1, 2).reshape(batch, time, n_head * head_dim)

    def _shifted(self, z: Ids) -> Ids:
        """z (..., V) minus its maximum, so that no exponential overflows.

        Softmax does not change when its row is shifted, so the gradients through the maximum sum to zero.
        """
        return self.tape.add(z, neg(self.tape, max_over(self.tape, z))[..., None])
