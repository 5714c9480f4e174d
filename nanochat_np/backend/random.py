"""Random numbers by name: each part of a run draws from a stream of its own.

A stream is a Philox generator (Salmon et al. 2011) whose key mixes the seed with the stream's name, so that one part
never shifts another.  Philox is counter-based: number i of a stream can be had without the i before it.  Batches use
that, so that which windows step s sees depends on (seed, s) alone and there is no generator state to save or restore.
"""

import hashlib

import numpy as np

_WORDS = 4  # Philox makes its 64-bit words in blocks of four; its counter counts blocks


def _philox(seed: int, name: str, block: int = 0) -> np.random.Philox:
    digest = hashlib.sha256(f"{name}:{seed}".encode()).digest()
    return np.random.Philox(key=np.frombuffer(digest[:16], "<u8"), counter=block)


def stream(seed: int, name: str) -> np.random.Generator:
    """A generator for ``name`` ("init", "sampling/0", ...); equal arguments give equal numbers."""
    return np.random.Generator(_philox(seed, name))


def uniform_integers(seed: int, name: str, first: int, count: int, high: int) -> np.ndarray:
    """Numbers ``first`` to ``first + count`` of an endless stream of integers in [0, high).

    Returns (count,) int64.  The upper 32 bits of each word are scaled by multiplication (Lemire 2019), biased by less
    than high / 2**32.
    """
    skip = first % _WORDS
    words = _philox(seed, name, first // _WORDS).random_raw(skip + count)[skip:]
    return (((words >> np.uint64(32)) * np.uint64(high)) >> np.uint64(32)).astype(np.int64)
