"""Inference of the GPT on random tokens: reading a prompt, and writing after it, one text or several at a time."""

import time
from collections.abc import Sequence

from nanochat_np.backend.random import stream
from nanochat_np.experiments.bench_model import SEED
from nanochat_np.experiments.timing import Work, repeated
from nanochat_np.infer.generation import Generation
from nanochat_np.infer.gpt_engine import GPTEngine
from nanochat_np.infer.sampling import Sampling

PREFILL = "prefill"


def inference_works(
    engine: GPTEngine, prompt_tokens: int, new_tokens: int, rows: Sequence[int], sampling: Sampling
) -> dict[str, Work]:
    """PREFILL: the logits after a prompt; ``decode N``: so many new tokens of each of N texts, with their choice.

    The engine needs a slot more than there are texts, for the prompt that they begin with.
    """
    prompt = stream(SEED, "sampling").integers(0, engine.config.vocab_size, prompt_tokens).tolist()
    kept = engine.slots - 1

    def prefill() -> None:
        engine.begin(kept)
        engine.extend(kept, prompt)

    def decode(texts: int) -> Work:
        def work(count: int) -> float:
            seconds = 0.0
            for _ in range(count):
                for slot in range(texts):
                    engine.copy(kept, slot)
                answers = [Generation(prompt, sampling, stop=(), sample=slot) for slot in range(texts)]
                tokens = prompt[:1] * texts
                begin = time.perf_counter()
                for _ in range(new_tokens):
                    for answer, logits in zip(answers, engine.step(range(texts), tokens), strict=True):
                        answer.take(logits)
                    tokens = [answer.tokens[-1] for answer in answers]
                seconds += time.perf_counter() - begin
            return seconds

        return work

    prefill()
    return {PREFILL: repeated(prefill)} | {f"decode {texts}": decode(texts) for texts in rows}
