"""Models: compositions of ops over a dict of arrays.

Each architecture is one module with the same functions (see `nn.model.Architecture`).  Its forward is written once, as
a function of the operations it is given: `nanochat_np.ops` computes with arrays, `nanochat_np.scalar.ops` records the
same network node by node on the autograd tape.
"""
