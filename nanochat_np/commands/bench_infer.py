"""``bench infer``: a prompt read, and tokens written after it."""

from typing import Any

import msgspec

from nanochat_np.backend.arrays import to_numpy
from nanochat_np.backend.device import select_device
from nanochat_np.backend.products import require_products
from nanochat_np.command_line.console import out, progress
from nanochat_np.commands.bench_folder import bench_folder, invoked
from nanochat_np.config import BenchConfig
from nanochat_np.errors import ConfigError
from nanochat_np.experiments.bench_inference import PREFILL, inference_works
from nanochat_np.experiments.bench_memory import mebibytes, peak_resident_bytes, pool_bytes
from nanochat_np.experiments.bench_model import initial_weights, model_config
from nanochat_np.experiments.table import markdown_table, text_table
from nanochat_np.experiments.timing import in_turn, medians
from nanochat_np.infer.gpt_engine import GPTEngine
from nanochat_np.infer.sampling import Sampling
from nanochat_np.nn.gpt_config import GPTConfig
from nanochat_np.text.bpe import BYTES, BpeTokenizer


class InferSummary(msgspec.Struct, frozen=True, kw_only=True):
    """Medians over the repeats, which ``seconds`` has by what was done: reading the prompt, or writing N texts.

    ``tokens_per_sec`` and ``ms_per_step`` go by the number of texts that are written at a time; the choice of tokens is
    in them.
    """

    command: str = "bench"
    schema: int = 2
    action: str = "infer"
    invocation: str
    device: str
    dtype: str
    quantize: str
    temperature: float
    top_k: int
    config: GPTConfig
    prompt_tokens: int
    new_tokens: int
    prefill_ms: float
    prefill_tokens_per_sec: float
    ms_per_step: dict[str, float]
    tokens_per_sec: dict[str, float]
    seconds: dict[str, list[float]]
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
    sampling = Sampling(max_tokens=config.new_tokens, temperature=config.temperature, top_k=config.top_k)
    with bench_folder(config, device) as folder, device.active(), progress(config.repeats, config.quiet) as shown:
        weights = {name: to_numpy(values) for name, values in initial_weights(model, config.dtype, device).items()}
        engine = GPTEngine(
            model,
            weights,
            BpeTokenizer(BYTES),
            device,
            slots=max(config.texts) + 1,
            precision=config.dtype,
            quantize=config.quantize,
        )
        del weights
        works = inference_works(engine, config.prompt_tokens, config.new_tokens, config.texts, sampling)
        rounds = []
        for seconds in in_turn({name: (work, 0.0) for name, work in works.items()}, config.repeats):
            rounds.append(seconds)
            shown.update(len(rounds))
        median = medians(rounds)
        steps = {str(texts): median[f"decode {texts}"] / config.new_tokens for texts in config.texts}
        summary = InferSummary(
            invocation=invoked(config),
            device=device.name,
            dtype=config.dtype,
            quantize=config.quantize,
            temperature=config.temperature,
            top_k=config.top_k,
            config=model,
            prompt_tokens=config.prompt_tokens,
            new_tokens=config.new_tokens,
            prefill_ms=1e3 * median[PREFILL],
            prefill_tokens_per_sec=config.prompt_tokens / median[PREFILL],
            ms_per_step={texts: 1e3 * seconds for texts, seconds in steps.items()},
            tokens_per_sec={texts: int(texts) / seconds for texts, seconds in steps.items()},
            seconds={name: [each[name] for each in rounds] for name in works},
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
    chosen = "the likeliest" if summary.temperature == 0 else f"drawn at temperature {summary.temperature:g}"
    return (
        f"# Inference of the GPT on {summary.device}\n\n`{summary.invocation}`\n\n"
        f"{model.n_layer} layers, {model.n_embd} wide, {summary.dtype}, matrices in {summary.quantize} for decoding, "
        f"random weights, a prompt of {summary.prompt_tokens} random tokens and {summary.new_tokens} written after it, "
        f"{chosen}. Medians of {len(summary.seconds[PREFILL])}. The environment is in env.json.\n\n"
        f"{markdown_table(*_table(summary))}\n"
    )


def _table(summary: InferSummary) -> tuple[tuple[str, str], list[tuple[str, str]]]:
    return ("", "median"), [
        ("prompt", f"{summary.prefill_ms:.1f} ms, {summary.prefill_tokens_per_sec:,.0f} tokens/s"),
        *(
            (f"{texts} at a time", f"{summary.ms_per_step[texts]:.2f} ms a step, {rate:,.0f} tokens/s")
            for texts, rate in summary.tokens_per_sec.items()
        ),
        ("peak memory of the process", f"{summary.peak_rss_mib:,.0f} MiB"),
    ]
