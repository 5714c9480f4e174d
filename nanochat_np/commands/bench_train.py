"""``bench train``: whole training steps of the GPT on random tokens."""

from typing import Any

import msgspec

from nanochat_np.backend.device import select_device
from nanochat_np.backend.products import products_in, require_products
from nanochat_np.command_line.console import out, progress
from nanochat_np.commands.bench_folder import bench_folder, invoked
from nanochat_np.config import BenchConfig
from nanochat_np.experiments.bench_memory import mebibytes, peak_resident_bytes, pool_bytes
from nanochat_np.experiments.bench_model import initial_weights, model_config
from nanochat_np.experiments.bench_steps import WARM_UP, StepTimes, figures, step_times
from nanochat_np.experiments.table import markdown_table, text_table
from nanochat_np.nn.gpt_config import GPTConfig, scaling_counts
from nanochat_np.ops.peak import peak_flops


class TrainSummary(msgspec.Struct, frozen=True, kw_only=True):
    """Medians over the timed steps, and each of them; see docs/measuring.md for what a figure counts.

    ``mfu`` is a share of ``gemm_peak_gflops``; both are None where the peak is not known.  ``warm_up_ms`` are the steps
    before, the first of them with compilation.  ``gpu_pool_mib`` is what CuPy's pool took, None on the CPU.
    """

    command: str = "bench"
    schema: int = 1
    action: str = "train"
    invocation: str
    device: str
    dtype: str
    config: GPTConfig
    batch_size: int
    recompute: bool
    parameters: int
    tokens_per_sec: float
    fwd_bwd_tokens_per_sec: float
    ms: StepTimes
    gemm_peak_gflops: float | None
    mfu: float | None
    peak_rss_mib: float
    gpu_pool_mib: float | None
    step_ms: list[StepTimes]
    warm_up_ms: list[StepTimes]
    environment: dict[str, Any]
    out: str


def run(config: BenchConfig) -> TrainSummary:
    """Measure, print the figures, and write them."""
    model, device = model_config(config), select_device(config.device)
    require_products(config.dtype, device.index is not None)
    with (
        bench_folder(config, device) as folder,
        device.active(),
        products_in(config.dtype),
        progress(WARM_UP + config.steps, config.quiet) as shown,
    ):
        peak = peak_flops(device, config.dtype)
        weights = initial_weights(model, config.dtype, device)
        times = []
        for each in step_times(weights, model, config.batch_size, config.steps, device, config.recompute):
            times.append(each)
            shown.update(len(times), ms=each.whole)
        found = figures(times[WARM_UP:], model, config.batch_size, peak)
        summary = TrainSummary(
            invocation=invoked(config),
            device=device.name,
            dtype=config.dtype,
            config=model,
            batch_size=config.batch_size,
            recompute=config.recompute,
            parameters=scaling_counts(model)["total"],
            **msgspec.structs.asdict(found),
            peak_rss_mib=peak_resident_bytes() / 2**20,
            gpu_pool_mib=mebibytes(pool_bytes(device)),
            step_ms=times[WARM_UP:],
            warm_up_ms=times[:WARM_UP],
            environment=folder.environment,
            out=str(folder.path),
        )
        folder.write(summary, _readme(summary))
    out(f"{text_table(*_table(summary))}\n\nfiles  {folder.path}")
    return summary


def _readme(summary: TrainSummary) -> str:
    model = summary.config
    return (
        f"# Training steps of the GPT on {summary.device}\n\n`{summary.invocation}`\n\n"
        f"{model.n_layer} layers, {model.n_embd} wide, {summary.parameters:,} parameters, {summary.dtype}, "
        f"{summary.batch_size} rows of {model.sequence_len} random tokens, {model.vocab_size:,} in the vocabulary. "
        f"Medians of {len(summary.step_ms)} steps after {len(summary.warm_up_ms)} that are not counted; what a figure "
        f"counts is in docs/measuring.md. All steps are in summary.json, the environment is in env.json.\n\n"
        f"{markdown_table(*_table(summary))}\n"
    )


def _table(summary: TrainSummary) -> tuple[tuple[str, str], list[tuple[str, str]]]:
    fastest, slowest = (f(each.whole for each in summary.step_ms) for f in (min, max))
    peak = "not known" if summary.gemm_peak_gflops is None else f"{summary.gemm_peak_gflops:,.0f} GFLOP/s"
    rows = [
        ("tokens/s", f"{summary.tokens_per_sec:,.0f}"),
        ("tokens/s of forward and backward alone", f"{summary.fwd_bwd_tokens_per_sec:,.0f}"),
        ("forward", f"{summary.ms.forward:.1f} ms"),
        ("backward", f"{summary.ms.backward:.1f} ms"),
        ("optimizer", f"{summary.ms.optimizer:.1f} ms"),
        ("a step, fastest to slowest", f"{fastest:.1f} to {slowest:.1f} ms"),
        ("peak of matrix products", peak),
        ("MFU", "not known" if summary.mfu is None else f"{summary.mfu:.1%}"),
        ("peak memory of the process", f"{summary.peak_rss_mib:,.0f} MiB"),
    ]
    if summary.gpu_pool_mib is not None:
        rows.append(("memory on the GPU", f"{summary.gpu_pool_mib:,.0f} MiB"))
    return ("", "median"), rows
