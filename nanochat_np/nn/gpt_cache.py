"""Keys and values of the positions that later ones may see, for several texts at once.

A layer that looks back over a window keeps only that window: position p lies at p modulo the size of its ring, where it
takes the place of the one that nobody will see any more.
"""

import itertools
import math
from collections.abc import Sequence

from nanochat_np.backend.arrays import Array
from nanochat_np.backend.device import Device
from nanochat_np.nn.gpt_config import GPTConfig
from nanochat_np.ops.rotary import rotary_tables


class GPTCache:
    """Room for ``slots`` texts of up to ``sequence_len`` tokens.

    ``k`` and ``v`` have an array (slots, K, R, D) a layer, R = min(window + 1, sequence_len), which are parts of one
    array each, ``all_k`` and ``all_v`` (N,), in which they begin at ``starts``; ``lengths`` are the positions that each
    text has; ``before`` (slots, C) is the normalised embedding of its last token, which smear reads, 0 where it has
    none; ``cos`` and ``sin`` (sequence_len, D/2) are the rotary tables.
    """

    def __init__(self, config: GPTConfig, device: Device, dtype: str | type, slots: int) -> None:
        xp = device.xp
        self.rings = [min(window + 1, config.sequence_len) for window in config.windows()]
        shapes = [(slots, config.n_kv_head, ring, config.head_dim) for ring in self.rings]
        *self.starts, size = itertools.accumulate(map(math.prod, shapes), initial=0)
        self.all_k, self.all_v = xp.zeros(size, dtype), xp.zeros(size, dtype)
        self.k, self.v = (
            [
                flat[start : start + math.prod(shape)].reshape(shape)
                for start, shape in zip(self.starts, shapes, strict=True)
            ]
            for flat in (self.all_k, self.all_v)
        )
        self.before = xp.zeros((slots, config.n_embd), dtype)
        tables = rotary_tables(config.sequence_len, config.head_dim, config.rope_base)
        self.cos, self.sin = (xp.asarray(table, dtype) for table in tables)
        self.lengths = [0] * slots

    def past(self, layer: int, slot: int) -> tuple[Array, Array]:
        """Keys and values (1, K, P, D) of the last positions that the next one sees, in order; copies."""
        length, ring = self.lengths[slot], self.rings[layer]
        places = [position % ring for position in range(max(0, length - ring + 1), length)]
        return self.k[layer][slot : slot + 1][:, :, places], self.v[layer][slot : slot + 1][:, :, places]

    def seen(self, layer: int, slot: int) -> tuple[Array, Array]:
        """Keys and values (1, K, P, D) that the position put last sees, itself with them, in any order; views."""
        filled = min(self.lengths[slot] + 1, self.rings[layer])
        return self.k[layer][slot : slot + 1, :, :filled], self.v[layer][slot : slot + 1, :, :filled]

    def put(self, layer: int, slot: int, k: Array, v: Array) -> None:
        """Keep the keys and values (K, T, D) of new positions, which begin at the text's length."""
        ring, length = self.rings[layer], self.lengths[slot] + k.shape[1]
        kept = min(k.shape[1], ring)
        places = [position % ring for position in range(length - kept, length)]
        self.k[layer][slot][:, places] = k[:, -kept:]
        self.v[layer][slot][:, places] = v[:, -kept:]

    def advance(self, slots: Sequence[int], count: int, before: Array) -> None:
        """All layers have put ``count`` positions of each of the texts, whose last embeddings are ``before`` (B, C)."""
        for slot in slots:
            self.lengths[slot] += count
        self.before[list(slots)] = before

    def clear(self, slot: int) -> None:
        """Begin a new text."""
        self.lengths[slot] = 0
        self.before[slot] = 0

    def copy(self, source: int, target: int) -> None:
        """Begin a text with all that another one has."""
        for layer, ring in enumerate(self.rings):
            filled = min(self.lengths[source], ring)
            self.k[layer][target, :, :filled] = self.k[layer][source, :, :filled]
            self.v[layer][target, :, :filled] = self.v[layer][source, :, :filled]
        self.before[target] = self.before[source]
        self.lengths[target] = self.lengths[source]
