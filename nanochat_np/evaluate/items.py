"""What is kept of each item of a benchmark: a line of a JSONL file."""

import msgspec


class Item(msgspec.Struct, frozen=True, kw_only=True):
    """``group`` is the task of CORE or the subject that it belongs to; ``outputs`` are the answers to ``prompt``.

    ``right`` says whether one of them is; ``error`` tells why an item could not be asked; it counts as wrong.
    """

    number: int
    group: str = ""
    prompt: str
    outputs: list[str]
    gold: str
    right: bool
    error: str | None = None
