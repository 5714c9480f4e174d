"""Stochastic gradient descent with heavy-ball momentum.  Source: Polyak 1964, lr outside the velocity."""

from nanochat_np.backend.arrays import Array
from nanochat_np.kernels import fused_on_cpu


@fused_on_cpu("optimizers")
def sgd_update(p: Array, g: Array, velocity: Array, lr: float, momentum: float) -> None:
    """v = momentum·v + g;  p = p − lr·v.   All (P,), in place; without momentum ``velocity`` is not touched."""
    real = p.dtype.type
    if momentum:
        velocity *= real(momentum)
        velocity += g
        p -= real(lr) * velocity
    else:
        p -= real(lr) * g
