"""What an evaluation reports: one schema, printed with --json and written to summary.json."""

import msgspec

from nanochat_np.evaluate.result import Result


class Evaluated(msgspec.Struct, frozen=True, kw_only=True):
    """A model by where it came from, and its results by benchmark."""

    source: str
    step: int
    results: dict[str, Result]


class EvalSummary(msgspec.Struct, frozen=True, kw_only=True):
    """``models`` by label; ``failed`` has a line for each benchmark that could not be run."""

    command: str = "eval"
    schema: int = 1
    invocation: str
    device: str
    models: dict[str, Evaluated]
    failed: list[str]
    seconds: float
    out: str
