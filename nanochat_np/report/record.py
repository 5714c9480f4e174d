"""What a report holds: the one object that ``report --json`` prints and that the page is made from."""

from typing import Literal

import msgspec

Unit = Literal["bits per byte", "share", "number"]


class Series(msgspec.Struct, frozen=True, kw_only=True):
    """A line of a chart; a value that is not finite is a gap (null in JSON).  ``marked``: few points, each shown."""

    name: str
    steps: list[int]
    values: list[float]
    marked: bool


class Chart(msgspec.Struct, frozen=True, kw_only=True):
    """Something over the steps of a stage."""

    name: str
    title: str
    unit: str
    series: list[Series]


class Stage(msgspec.Struct, frozen=True, kw_only=True):
    """A run.  Times are in seconds, losses in nats a token; None is what is not known.

    ``ended`` is whether the run came to its end: else all figures are as far as it went, and ``stopped`` says what was
    not finite where that is why.  ``seconds`` is start-up and all that followed; ``first_written`` and ``last_written``
    are times of its files, in UTC.  ``validation`` is what ``val_bpb`` and ``val_loss`` are of.
    """

    name: str
    command: str
    folder: str
    ended: bool
    stopped: str | None
    first_written: str
    last_written: str
    command_line: str | None
    base: str | None
    data: str | None
    dtype: str | None
    optimizer: str | None
    seed: int | None
    params: int | None
    steps: int
    tokens: int | None
    flops: float | None
    train_seconds: float | None
    seconds: float | None
    tokens_per_sec: float | None
    mfu: float | None
    peak_memory_mib: float | None
    cost_dollars: float | None
    train_loss: float | None
    validation: str
    val_loss: float | None
    val_bpb: float | None
    docs: str | None
    docs_bpb: float | None
    pass_at: dict[str, float]
    samples: dict[str, str]
    charts: list[Chart]


class Metric(msgspec.Struct, frozen=True, kw_only=True):
    """A row of the table: values by stage, those that are ``best`` of several, and why it ``failed`` where it did."""

    name: str
    unit: Unit
    better: Literal["lower", "higher"]
    values: dict[str, float]
    failed: dict[str, str]
    best: list[str]


class Totals(msgspec.Struct, frozen=True, kw_only=True):
    """``seconds`` by part: the stages, the evaluation, and what a speedrun did besides.  ``not_counted`` in words."""

    seconds: dict[str, float]
    tokens: int
    flops: float
    cost_dollars: float | None
    not_counted: list[str]


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """``environment`` by what it is of and by stage; ``problems`` has a line for what was damaged, missing or failed.

    ``markdown`` and ``html`` are the files of the page.
    """

    command: str = "report"
    schema: int = 1
    folder: str
    made: str
    dollars_per_hour: float | None
    environment: dict[str, dict[str, str]]
    stages: list[Stage]
    metrics: list[Metric]
    totals: Totals
    problems: list[str]
    markdown: str
    html: str
