"""``bench gemm``: how fast the matrix products of a training step are."""

from typing import Any

import msgspec

from nanochat_np.backend.device import Device, select_device
from nanochat_np.command_line.console import out, progress
from nanochat_np.commands.bench_folder import bench_folder, invoked
from nanochat_np.config import BenchConfig
from nanochat_np.experiments.bench_products import Layer, dtypes, layers, product_works, tile_ceilings
from nanochat_np.experiments.table import Cells, markdown_table, text_table
from nanochat_np.experiments.timing import in_turn, medians

_SECONDS = 0.02  # that a product is given at a time


class ProductFigure(msgspec.Struct, frozen=True, kw_only=True):
    """A product of ``rows`` tokens (N) with a layer of ``inputs`` (I) and ``outputs`` (O), 2·N·I·O operations.

    ``kind``: forward (x wᵀ), dX (dy w) or dW (dyᵀ x).
    """

    layer: str
    kind: str
    dtype: str
    rows: int
    inputs: int
    outputs: int
    seconds: float
    gflops: float
    share_of_ceiling: float | None


class GemmSummary(msgspec.Struct, frozen=True, kw_only=True):
    """Medians over the repeats.  ``blas`` and ``threads`` are NumPy's; on a GPU they say nothing about the figures.

    ``ceilings`` are what the innermost loop does by itself, in 10⁹ operations a second, by precision: see
    `kernels.ceiling`.  None are known for NumPy's products and a GPU's.
    """

    command: str = "bench"
    schema: int = 1
    action: str = "gemm"
    invocation: str
    device: str
    repeats: int
    blas: str
    threads: int | None
    ceilings: dict[str, float]
    products: list[ProductFigure]
    environment: dict[str, Any]
    out: str


def run(config: BenchConfig) -> GemmSummary:
    """Measure, print the table, and write it."""
    device = select_device(config.device)
    found = layers(config.n_embd, config.vocab_size, config.batch_size * config.max_seq_len)
    with bench_folder(config, device) as folder, device.active(), progress(len(found), config.quiet) as shown:
        products: list[ProductFigure] = []
        ceilings = tile_ceilings(device)
        for number, layer in enumerate(found, start=1):
            products += _measured(layer, config.repeats, device, ceilings)
            shown.update(number)
        blas = folder.environment["blas"]
        summary = GemmSummary(
            invocation=invoked(config),
            device=device.name,
            repeats=config.repeats,
            blas=" ".join(filter(None, (blas["library"], blas["version"], blas["kernel"]))),
            threads=blas["threads"],
            ceilings=ceilings,
            products=products,
            environment=folder.environment,
            out=str(folder.path),
        )
        folder.write(summary, _readme(summary))
    out(f"{_machine(summary)}\n\n{text_table(*_table(products))}\n\nfiles  {folder.path}")
    return summary


def _measured(layer: Layer, repeats: int, device: Device, ceilings: dict[str, float]) -> list[ProductFigure]:
    """All products of a layer, taken in turn."""
    works = {
        (kind, dtype): (work, _SECONDS)
        for dtype in dtypes(device)
        for kind, work in product_works(layer, dtype, device).items()
    }
    seconds = medians(list(in_turn(works, repeats)))
    return [
        ProductFigure(
            layer=layer.name,
            kind=kind,
            dtype=dtype,
            rows=layer.rows,
            inputs=layer.inputs,
            outputs=layer.outputs,
            seconds=each,
            gflops=layer.operations / each / 1e9,
            share_of_ceiling=layer.operations / each / 1e9 / ceilings[dtype] if dtype in ceilings else None,
        )
        for (kind, dtype), each in seconds.items()
    ]


def _readme(summary: GemmSummary) -> str:
    return (
        f"# Matrix products of a training step on {summary.device}\n\n`{summary.invocation}`\n\n"
        f"{_machine(summary)}. 10⁹ operations a second, 2·N·I·O to a product, medians of {summary.repeats}; x is "
        f"(N, I), w (O, I). {_about_ceilings(summary)}The environment is in env.json.\n\n"
        f"{markdown_table(*_table(summary.products))}\n"
    )


def _about_ceilings(summary: GemmSummary) -> str:
    rates = ", ".join(f"{rate:,.0f} in {dtype}" for dtype, rate in summary.ceilings.items())
    meaning = "In brackets the share of what the innermost loop does with operands in the first-level cache"
    return f"{meaning}: {rates}. " if rates else ""


def _machine(summary: GemmSummary) -> str:
    return summary.device if summary.device != "cpu" else f"{summary.blas}, threads: {summary.threads or 'not known'}"


def _table(products: list[ProductFigure]) -> tuple[Cells, list[Cells]]:
    """A line a product, a column a precision."""
    lines: dict[tuple[str, str, str], dict[str, str]] = {}
    for each in products:
        shape = f"{each.rows} x {each.inputs} x {each.outputs}"
        share = "" if each.share_of_ceiling is None else f" ({each.share_of_ceiling:.0%})"
        lines.setdefault((each.layer, each.kind, shape), {})[each.dtype] = f"{each.gflops:,.1f}{share}"
    measured = list(dict.fromkeys(each.dtype for each in products))
    return ("layer", "product", "N x I x O", *measured), [
        (*line, *(speeds[dtype] for dtype in measured)) for line, speeds in lines.items()
    ]
