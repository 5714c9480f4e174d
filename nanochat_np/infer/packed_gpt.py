"""The weights of a GPT laid out for decoding on a CPU: one matrix after the other, in float32, bfloat16 or int8."""

from collections.abc import Sequence

import numpy as np

from nanochat_np.infer.quantize import packed, unpacked
from nanochat_np.kernels import decode
from nanochat_np.kernels.dots import ROWS
from nanochat_np.nn.gpt_cache import GPTCache
from nanochat_np.nn.gpt_config import GATE_CHANNELS, SMEAR_CHANNELS, SOFTCAP, GPTConfig
from nanochat_np.nn.model import Weights

_STACKS = ("attn.c_q", "attn.c_k", "attn.c_v"), ("attn.c_proj",), ("mlp.c_fc",), ("mlp.c_proj",)


class PackedGPT:
    """Of a model in float32, whose matrices lie in memory in the order in which a token needs them."""

    def __init__(self, config: GPTConfig, weights: Weights, quantize: str, cache: GPTCache) -> None:
        """The matrices of ``weights`` are replaced by what they are in the chosen precision, so that both agree."""
        self._config, self._weights, self._cache = config, weights, cache
        matrices = [*map(self._stack, _STACKS), _padded(weights["lm_head.weight"])]
        codes, factors = zip(*(packed(matrix, quantize) for matrix in matrices), strict=True)
        if quantize != "float32":
            weights["lm_head.weight"] = matrices[-1][:, : config.n_embd]
            for matrix, code, factor in zip(matrices, codes, factors, strict=True):
                matrix[...] = unpacked(code, factor)
        self._matrices, self._factors = decode.Matrices._make(codes), decode.Matrices._make(factors)
        self._tables = [weights[f"value_embeds.{i}.weight"] for i in self._with_values()]
        self._small = self._others()
        starts, rings = (np.array(numbers, np.int64) for numbers in (cache.starts, cache.rings))
        self._kept = decode.Kept(cache.all_k, cache.all_v, starts, rings, cache.cos, cache.sin, cache.before)

    def step(self, slots: Sequence[int], tokens: Sequence[int]) -> np.ndarray:
        """Logits (B, V) after one more token of the text in each of the slots, as `nn.gpt_decode.step` has them."""
        config, cache, idx = self._config, self._cache, np.array(tokens, np.int64)
        e = self._weights["transformer.wte.weight"][idx]
        values = np.empty((len(self._tables), len(idx), config.n_kv_head * config.head_dim), np.float32)
        for row, table in zip(values, self._tables, strict=True):
            row[...] = table[idx]
        positions = np.array([cache.lengths[slot] for slot in slots], np.int64)
        heads = config.n_head, config.n_kv_head
        numbers = config.qk_scale, config.norm_eps, SOFTCAP
        given = self._matrices, self._factors, self._small, self._kept
        logits = decode.step(e, values, *given, positions, np.array(slots, np.int64), heads, numbers)
        for slot in slots:
            cache.lengths[slot] += 1
        return logits[:, : config.vocab_size]

    def _stack(self, names: tuple[str, ...]) -> np.ndarray:
        """A matrix of each layer, some of them below each other, (L, O, I); those in ``weights`` become its parts."""
        full = [[f"transformer.h.{i}.{name}.weight" for name in names] for i in range(self._config.n_layer)]
        stack = _padded(np.stack([np.concatenate([self._weights[name] for name in layer]) for layer in full]))
        for rows, layer in zip(stack, full, strict=True):
            start = 0
            for name in layer:
                end = start + len(self._weights[name])
                self._weights[name] = rows[start:end, : self._weights[name].shape[1]]
                start = end
        return stack

    def _with_values(self) -> list[int]:
        config = self._config
        return [i for i in range(config.n_layer) if config.is_current and config.has_value_embedding(i)]

    def _others(self) -> decode.Small:
        """Where an architecture has no mix, smear or backout, the numbers that change nothing."""
        config, w, layers = self._config, self._weights, self._with_values()
        embedding_of = [layers.index(i) if i in layers else -1 for i in range(config.n_layer)]
        gates = [w[f"transformer.h.{i}.attn.ve_gate.weight"] for i in layers]
        mixes, smear, strengths = np.tile([1.0, 0.0], (config.n_layer, 1)), np.zeros(SMEAR_CHANNELS), np.zeros(2)
        if config.is_current:
            mixes = np.stack([w["resid_lambdas"], w["x0_lambdas"]], 1)
            smear, strengths = w["smear_gate.weight"][0], np.concatenate([w["smear_lambda"], w["backout_lambda"]])
        return decode.Small(
            mixes=mixes.astype(np.float32),
            gates=np.array(gates, np.float32).reshape(-1, config.n_kv_head, GATE_CHANNELS),
            embedding_of=np.array(embedding_of, np.int64),
            smear=np.array(smear, np.float32),
            strengths=np.array(strengths, np.float32),
        )


def _padded(w: np.ndarray) -> np.ndarray:
    """Matrices (..., O, I) with zeros up to whole steps of `decode`; themselves where there is nothing to add."""
    rows, columns = -w.shape[-2] % ROWS, -w.shape[-1] % decode.WIDTH
    added = [(0, 0)] * (w.ndim - 2) + [(0, rows), (0, columns)]
    return np.pad(w, added) if rows or columns else w
