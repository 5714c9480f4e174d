"""Training steps of upstream's model and optimizer on random tokens: run by upstream's Python, in its checkout.

    python steps.py --n-layer 4 --n-head 2 --n-embd 256 --max-seq-len 512 --batch-size 8 --vocab-size 4096 --steps 10

Prints the medians as `python -m nanochat_np bench train --json` does, over the steps after two that are not counted.
"""

import argparse
import json
import statistics
import time

import torch
from nanochat.gpt import GPT, GPTConfig

WARM_UP = 2


def main() -> None:
    parser = argparse.ArgumentParser()
    for name in ("n-layer", "n-head", "n-embd", "max-seq-len", "batch-size", "vocab-size", "steps"):
        parser.add_argument(f"--{name}", type=int, required=True)
    parser.add_argument("--device", default="cpu")
    args = parser.parse_args()
    torch.manual_seed(42)
    if args.device == "cuda":
        torch.set_float32_matmul_precision("high")  # as upstream's script does
    times = steps(args)[WARM_UP:]
    tokens = args.batch_size * args.max_seq_len
    medians = {name: statistics.median(each[name] for each in times) for name in times[0]}
    fwd_bwd = statistics.median(each["forward"] + each["backward"] for each in times)
    print(
        json.dumps(
            {
                "tokens_per_sec": 1e3 * tokens / statistics.median(sum(each.values()) for each in times),
                "fwd_bwd_tokens_per_sec": 1e3 * tokens / fwd_bwd,
                "ms": medians,
                "step_ms": times,
            }
        )
    )


def steps(args: argparse.Namespace) -> list[dict[str, float]]:
    """Milliseconds of the parts of every step."""
    config = GPTConfig(args.max_seq_len, args.vocab_size, args.n_layer, args.n_head, args.n_head, args.n_embd)
    with torch.device("meta"):
        plain = GPT(config)
    plain.to_empty(device=args.device)
    plain.init_weights()
    model = torch.compile(plain, dynamic=False)
    optimizer = plain.setup_optimizer(unembedding_lr=0.008, embedding_lr=0.3, weight_decay=0.28)
    synchronize = torch.cuda.synchronize if args.device == "cuda" else lambda: None
    generator = torch.Generator().manual_seed(0)

    def timed(function) -> tuple[object, float]:
        synchronize()
        begin = time.perf_counter()
        result = function()
        synchronize()
        return result, 1e3 * (time.perf_counter() - begin)

    def update() -> None:
        optimizer.step()
        plain.zero_grad(set_to_none=True)

    times = []
    for _ in range(WARM_UP + args.steps):
        rows = torch.randint(args.vocab_size, (args.batch_size, args.max_seq_len + 1), generator=generator)
        x, y = rows[:, :-1].contiguous().to(args.device), rows[:, 1:].contiguous().to(args.device)
        loss, forward = timed(lambda x=x, y=y: model(x, y))
        _, backward = timed(loss.backward)
        del loss
        _, optimizing = timed(update)
        times.append({"forward": forward, "backward": backward, "optimizer": optimizing})
    return times


if __name__ == "__main__":
    main()
