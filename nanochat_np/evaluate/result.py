"""What a benchmark says of a model."""

from collections.abc import Sequence

import msgspec

from nanochat_np.evaluate.items import Item


def centered(accuracy: float, baseline: float) -> float:
    """(accuracy − baseline) / (1 − baseline): 0 for guessing, 1 for all right."""
    return (accuracy - baseline) / (1 - baseline)


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """Items that belong together: a task of CORE, a subject.  ``baseline`` is the accuracy of guessing."""

    items: int
    right: int
    errors: int
    accuracy: float
    baseline: float
    centered: float


def part(items: Sequence[Item], baseline: float) -> Part:
    """What items, at least one, say together."""
    right = sum(item.right for item in items)
    accuracy = right / len(items)
    return Part(
        items=len(items),
        right=right,
        errors=sum(item.error is not None for item in items),
        accuracy=accuracy,
        baseline=baseline,
        centered=centered(accuracy, baseline),
    )


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """``score`` is what ``metric`` names; None where the benchmark failed, for the reason ``failed``.

    ``errors`` of the items could not be asked and count as wrong.
    """

    benchmark: str
    metric: str
    score: float | None = None
    failed: str | None = None
    items: int = 0
    right: int = 0
    errors: int = 0
    baseline: float = 0.0
    seconds: float = 0.0
    parts: dict[str, Part] = {}
    details: dict[str, float] = {}
