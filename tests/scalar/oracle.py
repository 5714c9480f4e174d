"""What a recorded function is compared with: NumPy for its values, finite differences of NumPy for its gradients."""

import numpy as np

from nanochat_np.scalar.tape import Tape

STEP = 1e-5


def check(record, reference, *arrays, inputs=()):
    """``record(tape, *nodes)`` must have the values of ``reference(*arrays)``, and along a random direction of each
    array the same slope of a random weighing of those values."""
    rng = np.random.default_rng(0)
    arrays = [np.asarray(array, np.float64) for array in arrays]
    tape = Tape()
    nodes = [tape.leaf(array) for array in arrays]
    y = record(tape, *nodes)
    expected = reference(*arrays)
    weights = rng.normal(size=np.shape(expected))
    loss = weighed_sum(tape, y, weights)
    tape.replay(np.array(inputs, np.int32))
    np.testing.assert_allclose(tape.values(y), expected, rtol=1e-12, atol=1e-13)

    tape.backward(loss)
    for i, array in enumerate(arrays):
        direction = rng.normal(size=array.shape)
        sides = [[*arrays[:i], array + sign * STEP * direction, *arrays[i + 1 :]] for sign in (1, -1)]
        up, down = (np.sum(weights * reference(*side)) for side in sides)
        slope = np.sum(tape.grads(nodes[i]) * direction)
        np.testing.assert_allclose(slope, (up - down) / (2 * STEP), rtol=1e-6, atol=1e-7)


def weighed_sum(tape, nodes, weights):
    """Σ weights · nodes as one node, by primitives alone."""
    products = np.ravel(tape.mul(nodes, tape.leaf(weights))).tolist()
    total = products[0]
    for product in products[1:]:
        total = tape.add(total, product)
    return total
