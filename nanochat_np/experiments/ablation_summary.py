"""What the cells of an ablation say together: means over seeds, ranks, and how far counting comes."""

import statistics
from collections.abc import Iterable, Sequence

import msgspec

from nanochat_np.data.dataset import Dataset
from nanochat_np.evaluate.baselines import baselines
from nanochat_np.experiments.ablation import Failed, Row


class Spread(msgspec.Struct, frozen=True):
    """Mean, and sample standard deviation (n - 1), which one value has not."""

    mean: float
    sd: float | None


class VariantResult(msgspec.Struct, frozen=True, kw_only=True):
    """A variant of a model kind over its seeds.  ``rank`` is by mean ``val_bpb`` within the kind, 1 the best.

    It beats a baseline where its mean ``val_loss`` is below the baseline's.
    """

    model_kind: str
    variant: str
    parameter_count: int
    seeds: list[int]
    val_loss: Spread
    val_bpb: Spread
    mean_loss_last_n: Spread
    steps_per_sec: Spread
    rank: int
    beats_unigram: bool
    beats_bigram: bool


class Baseline(msgspec.Struct, frozen=True):
    """What counting reaches (`evaluate.baselines`): nats a token, bits per byte."""

    val_loss: float
    val_bpb: float


class AblationSummary(msgspec.Struct, frozen=True, kw_only=True):
    """``rows`` and ``variants`` are in the order of the grid; units as in `TrainSummary`."""

    command: str = "ablate"
    schema: int = 1
    invocation: str
    csv: str
    jsonl: str
    json: str
    markdown: str
    plot: str | None
    runs: str
    mode: str
    style: str
    data: str
    dataset_sha256: str
    device: str
    optimizer: str
    lr: dict[str, float]
    steps: int
    batch_size: int
    seeds: tuple[int, ...]
    jobs: int
    baselines: dict[str, Baseline]
    variants: list[VariantResult]
    ranking: dict[str, list[str]]
    rows: list[Row]
    failed: list[Failed]
    interrupted: bool
    wall_seconds: float


def count_baselines(dataset: Dataset) -> dict[str, Baseline]:
    """The baselines of a dataset."""
    found = baselines(dataset.train, dataset.val, dataset.byte_lengths)
    return {name: Baseline(score.loss, score.bpb) for name, score in found.items()}


def variant_results(rows: Iterable[Row], counting: dict[str, Baseline]) -> list[VariantResult]:
    """One for each model kind and variant with a row, in the order of the rows."""
    groups: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        groups.setdefault((row.model_kind, row.variant), []).append(row)
    bpb = {key: statistics.mean(row.val_bpb for row in group) for key, group in groups.items()}
    return [
        VariantResult(
            model_kind=kind,
            variant=variant,
            parameter_count=group[0].parameter_count,
            seeds=[row.seed for row in group],
            val_loss=(val_loss := spread([row.val_loss for row in group])),
            val_bpb=spread([row.val_bpb for row in group]),
            mean_loss_last_n=spread([row.mean_loss_last_n for row in group]),
            steps_per_sec=spread([row.steps_per_sec for row in group]),
            rank=1 + sum(other < bpb[kind, variant] for (its_kind, _), other in bpb.items() if its_kind == kind),
            beats_unigram=val_loss.mean < counting["unigram"].val_loss,
            beats_bigram=val_loss.mean < counting["bigram"].val_loss,
        )
        for (kind, variant), group in groups.items()
    ]


def ranking(variants: Sequence[VariantResult]) -> dict[str, list[str]]:
    """Variants of each model kind, the best first."""
    kinds = dict.fromkeys(found.model_kind for found in variants)
    by_rank = sorted(variants, key=lambda found: found.rank)
    return {kind: [found.variant for found in by_rank if found.model_kind == kind] for kind in kinds}


def spread(values: Sequence[float]) -> Spread:
    """Mean and standard deviation of at least one value."""
    return Spread(statistics.mean(values), statistics.stdev(values) if len(values) > 1 else None)
