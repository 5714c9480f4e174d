"""An ablation for people: a table a model kind, on a terminal and in Markdown."""

from collections.abc import Iterator
from pathlib import Path

from nanochat_np.experiments.ablation_summary import AblationSummary, Baseline, Spread, VariantResult
from nanochat_np.experiments.table import markdown_table, text_table

HEAD = ("best first", "parameters", "bits/byte", "nats/token", "training loss", "steps/s")
_BASELINES = {"uniform": "(all characters alike)", "unigram": "(unigram counts)", "bigram": "(bigram counts)"}
_LEGEND = (
    "Mean ± sample standard deviation over seeds. bits/byte and nats/token are of the validation text, "
    "counts (add one) of the training text. training loss is the mean of the last batches of each run, in nats/token. "
    "steps/s counts time in training steps alone"
)


def report(s: AblationSummary) -> str:
    """What ``ablate`` prints."""
    parts = [f"{title}\n\n{text_table(HEAD, rows)}" for title, rows in _tables(s)]
    files = [f"rows     {s.csv}", f"summary  {s.markdown}"]
    files += [f"curves   {s.plot}"] if s.plot else []
    return "\n\n".join([*parts, *_failures(s), "\n".join(files)])


def markdown(s: AblationSummary) -> str:
    """The summary file."""
    parts = [f"# Ablation of head tying and input normalisation\n\n`{s.invocation}`"]
    parts += [f"## {title}\n\n{markdown_table(HEAD, rows)}" for title, rows in _tables(s)]
    side_by_side = f", {s.jobs} runs side by side" if s.jobs > 1 else ""
    parts.append(_LEGEND + side_by_side + ".")
    parts += _failures(s)
    if s.plot:
        parts.append(f"![Validation curves]({Path(s.plot).name})")
    return "\n\n".join(parts) + "\n"


def _tables(s: AblationSummary) -> Iterator[tuple[str, list[list[str]]]]:
    """Title and rows for each model kind: variants and baselines together, sorted by bits per byte."""
    seeds = f"{len(s.seeds)} seeds" if len(s.seeds) > 1 else f"seed {s.seeds[0]}"
    for kind in s.ranking:
        rows = [(b.val_bpb, _baseline_cells(name, b)) for name, b in s.baselines.items()]
        rows += [(v.val_bpb.mean, _variant_cells(v)) for v in s.variants if v.model_kind == kind]
        what = f"{s.steps:,} steps of {s.batch_size} windows, {s.optimizer} at {s.lr[kind]:g}, {seeds}"
        yield f"{kind} on {s.data}: {what}", [cells for _, cells in sorted(rows)]


def _baseline_cells(name: str, b: Baseline) -> list[str]:
    return [_BASELINES[name], "", f"{b.val_bpb:.4f}", f"{b.val_loss:.4f}", "", ""]


def _variant_cells(v: VariantResult) -> list[str]:
    losses = [_shown(value) for value in (v.val_bpb, v.val_loss, v.mean_loss_last_n)]
    return [v.variant, f"{v.parameter_count:,}", *losses, f"{v.steps_per_sec.mean:,.0f}"]


def _shown(value: Spread) -> str:
    return f"{value.mean:.4f}" if value.sd is None else f"{value.mean:.4f} ± {value.sd:.4f}"


def _failures(s: AblationSummary) -> list[str]:
    lines = [f"- {each.model_kind} {each.variant}, seed {each.seed}: {each.error}" for each in s.failed]
    parts = ["\n".join(["Failed:", "", *lines])] if lines else []
    return [*parts, "Interrupted: the runs that are not here were not finished."] if s.interrupted else parts
