"""``bench infer``: a prompt read, and tokens generated after it."""

from typing import Any

import msgspec

from nanochat_np.backend.device import select_device
from nanochat_np.backend.products import products_in, require_products
from nanochat_np.command_line.console import out, progress
from nanochat_np.commands.bench_folder import bench_folder, invoked
from nanochat_np.config import BenchConfig
from nanochat_np.errors import ConfigError
from nanochat_np.experiments.bench_inference import KV_CACHE, inference_works, weight_bytes
from nanochat_np.experiments.bench_memory import mebibytes, peak_resident_bytes, pool_bytes
from nanochat_np.experiments.bench_model import initial_weights, model_config
from nanochat_np.experiments.table import markdown_table, text_table
from nanochat_np.experiments.timing import in_turn, medians
from nanochat_np.nn.gpt_config import GPTConfig


class InferSummary(msgspec.Struct, frozen=True, kw_only=True):
    """Medians over the repeats, which ``seconds`` has, by ``prefill`` and ``generation``, one prompt at a time.

    Without a key/value cache (``kv_cache``) every token generated costs a forward pass over all tokens before it.
    """

    command: str = "bench"
    schema: int = 1
    action: str = "infer"
    invocation: str
    device: str
    dtype: str
    config: GPTConfig
    prompt_tokens: int
    new_tokens: int
    kv_cache: bool = KV_CACHE
    prefill_tokens_per_sec: float
    generation_tokens_per_sec: float
    ms_per_token: float
    seconds: dict[str, list[float]]
    weight_mib: float
    peak_rss_mib: float
    gpu_pool_mib: float | None
    environment: dict[str, Any]
    out: str


def run(config: BenchConfig) -> InferSummary:
    """Measure, print the figures, and write them."""
    model, device = model_config(config), select_device(config.device)
    require_products(config.dtype, device.index is not None)
    if config.prompt_tokens + config.new_tokens > model.sequence_len:
        together = f"--prompt-tokens {config.prompt_tokens} and --new-tokens {config.new_tokens}"
        raise ConfigError(f"{together}: more than --max-seq-len {model.sequence_len} together")
    with (
        bench_folder(config, device) as folder,
        device.active(),
        products_in(config.dtype),
        progress(config.repeats, config.quiet) as shown,
    ):
        weights = initial_weights(model, config.dtype, device)
        works = inference_works(weights, model, config.prompt_tokens, config.new_tokens, device)
        rounds = []
        for seconds in in_turn({name: (work, 0.0) for name, work in works.items()}, config.repeats):
            rounds.append(seconds)
            shown.update(len(rounds))
        median = medians(rounds)
        summary = InferSummary(
            invocation=invoked(config),
            device=device.name,
            dtype=config.dtype,
            config=model,
            prompt_tokens=config.prompt_tokens,
            new_tokens=config.new_tokens,
            prefill_tokens_per_sec=config.prompt_tokens / median["prefill"],
            generation_tokens_per_sec=config.new_tokens / median["generation"],
            ms_per_token=1e3 * median["generation"] / config.new_tokens,
            seconds={name: [each[name] for each in rounds] for name in works},
            weight_mib=weight_bytes(weights) / 2**20,
            peak_rss_mib=peak_resident_bytes() / 2**20,
            gpu_pool_mib=mebibytes(pool_bytes(device)),
            environment=folder.environment,
            out=str(folder.path),
        )
        folder.write(summary, _readme(summary))
    out(f"{text_table(*_table(summary))}\n\nfiles  {folder.path}")
    return summary


def _readme(summary: InferSummary) -> str:
    model = summary.config
    return (
        f"# Inference of the GPT on {summary.device}\n\n`{summary.invocation}`\n\n"
        f"{model.n_layer} layers, {model.n_embd} wide, {summary.dtype}, random weights, one prompt of "
        f"{summary.prompt_tokens} random tokens and {summary.new_tokens} generated after it, the likeliest. "
        f"Medians of {len(summary.seconds['prefill'])}. The environment is in env.json.\n\n"
        f"{markdown_table(*_table(summary))}\n"
    )


def _table(summary: InferSummary) -> tuple[tuple[str, str], list[tuple[str, str]]]:
    return ("", "median"), [
        ("prompt, tokens/s", f"{summary.prefill_tokens_per_sec:,.0f}"),
        ("generation, tokens/s", f"{summary.generation_tokens_per_sec:,.1f}"),
        ("a token generated", f"{summary.ms_per_token:.1f} ms"),
        ("key/value cache", "yes" if summary.kv_cache else "no: a token costs a pass over all before it"),
        ("weights", f"{summary.weight_mib:,.1f} MiB"),
        ("peak memory of the process", f"{summary.peak_rss_mib:,.0f} MiB"),
    ]
