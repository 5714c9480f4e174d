"""Upstream's Engine on random weights: a prompt read, and tokens written after it; run by upstream's Python.

    python inference.py --n-layer 4 --n-head 2 --n-embd 256 --max-seq-len 512 --vocab-size 4096 --prompt-tokens 448

Prints, as `python -m nanochat_np bench infer --json` does: prefill_ms, and tokens_per_sec by the number of texts.  The
weights of the layers' last matrices, which are 0 at first, are drawn, as all are, so that no product is trivial.
"""

import argparse
import json
import statistics
import time

import torch
from nanochat.engine import Engine
from nanochat.gpt import GPT, GPTConfig


class Tokenizer:
    """Of which the engine asks only for ids that never come."""

    def encode_special(self, name: str) -> int:
        return -1

    def get_bos_token_id(self) -> int:
        return -1


def main() -> None:
    parser = argparse.ArgumentParser()
    for name in ("n-layer", "n-head", "n-embd", "max-seq-len", "vocab-size", "prompt-tokens", "new-tokens", "repeats"):
        parser.add_argument(f"--{name}", type=int, required=True)
    parser.add_argument("--texts", default="1,16")
    parser.add_argument("--temperature", type=float, default=0.0)
    parser.add_argument("--top-k", type=int, default=0)
    args = parser.parse_args()
    torch.manual_seed(42)
    model = GPT(GPTConfig(args.max_seq_len, args.vocab_size, args.n_layer, args.n_head, args.n_head, args.n_embd))
    model.init_weights()
    with torch.no_grad():
        for block in model.transformer.h:
            for matrix in (block.attn.c_proj.weight, block.mlp.c_proj.weight):
                matrix.normal_(0, 0.02)
    engine = Engine(model.eval(), Tokenizer())
    prompt = torch.randint(args.vocab_size, (args.prompt_tokens,)).tolist()
    texts = [int(count) for count in args.texts.split(",")]
    rounds = [{count: written(engine, prompt, count, args) for count in texts} for _ in range(args.repeats + 1)][1:]
    found = {
        "prefill_ms": 1e3 * statistics.median(each[texts[0]][0] for each in rounds),
        "tokens_per_sec": {
            str(count): count * (args.new_tokens - 1) / statistics.median(each[count][1] for each in rounds)
            for count in texts
        },
    }
    print(json.dumps(found))


def written(engine: Engine, prompt: list[int], count: int, args: argparse.Namespace) -> tuple[float, float]:
    """Seconds to the first tokens, and from there to the last."""
    sampling = {"temperature": args.temperature, "top_k": args.top_k or None}
    begin = time.perf_counter()
    tokens = engine.generate(prompt, num_samples=count, max_tokens=args.new_tokens, **sampling)
    next(tokens)
    first = time.perf_counter()
    for _ in tokens:
        pass
    return first - begin, time.perf_counter() - first


if __name__ == "__main__":
    main()
