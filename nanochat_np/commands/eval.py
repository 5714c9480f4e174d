"""``eval``: benchmarks on one model or several."""

import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from nanochat_np.backend.device import Device, select_device
from nanochat_np.backend.new_folder import require_new
from nanochat_np.command_line.console import Progress, out, progress
from nanochat_np.commands.eval_files import EvalFiles, report
from nanochat_np.config import EvalConfig
from nanochat_np.config.evaluate import Benchmark
from nanochat_np.data.shakespeare import cache_folder
from nanochat_np.errors import CheckpointError, RunError
from nanochat_np.evaluate.benchmarks import METRICS, OF_CHATCORE, Settings, Subject, run_benchmark
from nanochat_np.evaluate.chat import ChatSettings
from nanochat_np.evaluate.items import Item
from nanochat_np.evaluate.report import cell, failures
from nanochat_np.evaluate.result import Result
from nanochat_np.evaluate.summary import EvalSummary, Evaluated
from nanochat_np.evaluate.tasks import GENERATED_TASKS
from nanochat_np.experiments.invocation import invocation
from nanochat_np.infer.gpt_engine import GPTEngine
from nanochat_np.interop import huggingface
from nanochat_np.interop.upstream_tokenizer import open_tokenizer
from nanochat_np.train.checkpoint import read_meta
from nanochat_np.train.load_engine import load_engine
from nanochat_np.train.locate import locate, newest_run
from nanochat_np.train.run_folder import new_path


def run(config: EvalConfig, given: frozenset[str]) -> EvalSummary:
    """Run each benchmark on each model and write the results as they come.

    Raises RunError where a benchmark failed, after all others have run and all files are written.
    """
    started = time.perf_counter()
    device = select_device(config.device)
    if config.out is not None:
        require_new(Path(config.out).expanduser())
    sources = [Path(name).expanduser() for name in config.checkpoint]
    if not sources and config.hf is None:
        sources = [newest_run(Path("results"))]
    for source in sources:  # raises where there is none, before anything is made
        read_meta(locate(source))
    if config.hf is not None:
        huggingface.read_config(Path(config.hf).expanduser())
    names = chosen(config.benchmarks)
    models: dict[str, Evaluated] = {}
    folder = Path(config.out).expanduser() if config.out else new_path("eval")
    files = EvalFiles(folder)
    for subject in _subjects(sources, config, device):
        results: dict[str, Result] = {}
        models[subject.label] = Evaluated(source=subject.source, step=subject.step, results=results)
        for name in names:
            results[name] = _one(name, subject, _settings(config), results, files, config.quiet)
            files.write_benchmark(name, {label: each.results[name] for label, each in models.items()})
    summary = EvalSummary(
        invocation=invocation("eval", config),
        device=device.name,
        models=models,
        failed=failures(_results(models)),
        seconds=time.perf_counter() - started,
        out=str(folder),
    )
    files.write_summary(summary, summary.invocation, _results(models))
    out(f"{report(_results(models))}\n\nfiles   {folder}")
    if summary.failed:
        count = f"{len(summary.failed)} of {len(models) * len(names)} benchmarks failed"
        raise RunError(f"{count}, see {folder / 'report.md'}; the first: {summary.failed[0]}")
    return summary


def chosen(benchmarks: tuple[Benchmark, ...]) -> list[str]:
    """What to run, in one order, with all that chatcore is a mean of."""
    wanted: set[str] = set(benchmarks)
    if "all" in wanted:
        wanted |= set(METRICS) - set(GENERATED_TASKS)
    if "generated" in wanted:
        wanted |= set(GENERATED_TASKS)
    if "arc" in wanted:
        wanted |= {"arc-easy", "arc-challenge"}
    if "chatcore" in wanted:
        wanted |= set(OF_CHATCORE)
    return [name for name in METRICS if name in wanted]


def _settings(config: EvalConfig) -> Settings:
    return Settings(
        folder=Path(config.data_dir).expanduser() if config.data_dir else cache_folder() / "eval",
        chat=ChatSettings(
            max_problems=config.max_problems,
            num_samples=config.num_samples,
            temperature=config.temperature,
            top_k=config.top_k,
            max_new_tokens=config.max_new_tokens,
            batch_size=config.batch_size,
            seed=config.seed,
        ),
        data=config.data,
        text_field=config.text_field,
        eval_tokens=config.eval_tokens,
        unsafe_code=config.unsafe_code,
    )


def _subjects(sources: list[Path], config: EvalConfig, device: Device) -> Iterator[Subject]:
    """The models one after another, each under a label of its own."""
    taken: set[str] = set()
    for source in sources:
        engine, meta = load_engine(source, device, slots=config.batch_size, quantize=config.quantize)
        label = _label(locate(source), taken)
        yield Subject(label, str(source), meta.step, engine, meta.settings.get("data"))
    if config.hf is not None:
        source = Path(config.hf).expanduser()
        yield Subject(_label(source, taken), str(source), 0, _hugging_face(source, device, config), None)


def _hugging_face(source: Path, device: Device, config: EvalConfig) -> GPTEngine:
    model, tokenizer = huggingface.read(source), open_tokenizer(source)
    if tokenizer.vocab_size != model.config.vocab_size:
        raise CheckpointError(
            f"{source}: the model has {model.config.vocab_size} tokens, its tokenizer {tokenizer.vocab_size}"
        )
    slots, quantize = config.batch_size, config.quantize
    return GPTEngine(model.config, model.weights, tokenizer, device, slots=slots, quantize=quantize)


def _label(folder: Path, taken: set[str]) -> str:
    """A name for a model that fits a table and a file: that of its run and its step, or of its folder."""
    path = folder.resolve()
    name = f"{path.parent.parent.name}-{path.name}" if path.parent.name == "checkpoints" else path.name
    label, number = name, 2
    while label in taken:
        label, number = f"{name}-{number}", number + 1
    taken.add(label)
    return label


def _one(
    name: str, subject: Subject, settings: Settings, before: Mapping[str, Result], files: EvalFiles, quiet: bool
) -> Result:
    """A benchmark with its progress shown and its items written."""
    with progress(0, quiet) as shown, files.items(subject.label, name) as write:
        found = run_benchmark(name, subject, settings, before, _observer(shown, write))
        told = f"FAILED: {found.failed}" if found.failed else cell(found)
        shown.note(f"{subject.label}: {name}: {told} ({found.seconds:.1f} s)")
    return found


def _observer(shown: Progress, write: Any) -> Any:
    right = 0

    def observe(item: Item | None, done: int, total: int) -> None:
        nonlocal right
        shown.total = total
        if item is None:
            shown.update(done)
            return
        write(item)
        right += item.right
        shown.update(done, right=f"{100 * right / done:.1f} %")

    return observe


def _results(models: Mapping[str, Evaluated]) -> dict[str, dict[str, Result]]:
    return {label: each.results for label, each in models.items()}
