"""Which tiles matrix products use on this CPU: by the features that Numba compiles for, never by trying.

An instruction that the CPU lacks ends the process, and no exception tells of it.  Numba's features are those of the
CPU unless NUMBA_CPU_NAME and NUMBA_CPU_FEATURES say otherwise, so these force any of the choices.
"""

import functools

from numba.core.registry import cpu_target

from nanochat_np.kernels.micro_kernel import Kind, Tile

# Sums, a row of B and one number of A fill the registers: 32 in AVX-512 and NEON, 16 in AVX2.  A panel's columns are a
# multiple of the rows, so that a packed A has no tile across two panels.
_TILES = (
    ({"avx512f", "avx512bw", "avx512vl"}, Tile(rows=8, vectors=2, width=16)),
    ({"avx2", "fma"}, Tile(rows=4, vectors=3, width=8)),
    ({"neon"}, Tile(rows=4, vectors=4, width=4)),  # not tried on such a machine
)
_ANY = Tile(rows=4, vectors=2, width=4)  # what every 64-bit CPU has; NumPy's product is the faster one there
FEATURES_OF_TILES = frozenset({"avx512bf16"}.union(*(needed for needed, _ in _TILES)))


@functools.cache
def features() -> frozenset[str]:
    """What Numba compiles for, by LLVM's names."""
    _, _, text = cpu_target.target_context.codegen().magic_tuple()
    return frozenset(name[1:] for name in text.split(",") if name.startswith("+"))


@functools.cache
def tile() -> Tile:
    """Of matrix products."""
    has = features()
    return next((tile for needed, tile in _TILES if needed <= has), _ANY)


def has_fast_tile() -> bool:
    """Whether this CPU has the instructions that a product in compiled code is made for."""
    return tile() != _ANY


@functools.cache
def bfloat16_kind() -> Kind:
    """How pairs of bfloat16 are multiplied."""
    return "bfloat16_dot" if {"avx512bf16", "avx512f"} <= features() else "bfloat16"
