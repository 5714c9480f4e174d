"""Problems whose answers can be checked: generated sets, and files after GSM8K's rule."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import msgspec

from nanochat_np.errors import CheckpointError, ConfigError, DataError
from nanochat_np.tasks import generated
from nanochat_np.tasks.gsm8k import reference_number, same_number
from nanochat_np.tasks.item import Item, Span, TaskSet, said
from nanochat_np.tasks.mixture import Listed, Mixture, Source, open_mixtures
from nanochat_np.text.conversation import Conversation

_LOOKED_AT = 100  # of a generated set, to see whether any fits
Rule = Callable[[Conversation, Sequence[Span]], bool]


class Problem(NamedTuple):
    """A conversation whose last answer is right, and the rule that another is judged by."""

    conversation: Conversation
    rule: Rule

    def is_right(self, spans: Sequence[Span]) -> bool:
        """Whether an answer, kind and text of its parts, is."""
        return self.rule(self.conversation, spans)


class Problems:
    """Problems of a mixture one after another; ``counts`` are how many of each source came."""

    def __init__(self, mixture: Mixture, counts: Sequence[int] | None = None) -> None:
        self.mixture = mixture
        self.counts = list(counts or (0,) * len(mixture.sources))

    def take(self, count: int) -> list[Problem]:
        """The next so many."""
        return [self._next() for _ in range(count)]

    @property
    def epoch(self) -> int:
        """How often the source that repeats itself most has been begun, from 1."""
        return self.mixture.epoch(self.counts)

    @property
    def length(self) -> int:
        """Problems until each source has come to its end at least once; 0 where one has none."""
        lengths, weights = [source.length for source in self.mixture.sources], self.mixture.weights
        if not all(lengths):
            return 0
        return round(max(length / weight for length, weight in zip(lengths, weights, strict=True)) * sum(weights))

    def state(self) -> dict[str, Any]:
        """Numbers, texts and lists, for JSON."""
        sources = [[source.name, source.length] for source in self.mixture.sources]
        return {"sources": sources, "counts": list(self.counts)}

    def restored(self, state: dict[str, Any]) -> "Problems":
        """Those that follow a ``state``.  Raises CheckpointError for a damaged one, DataError for data that changed."""
        try:
            saved = msgspec.convert(state, _State)
        except msgspec.ValidationError as error:
            raise CheckpointError(f"the position in the data is damaged ({error}): use an older checkpoint") from None
        now = [(source.name, source.length) for source in self.mixture.sources]
        if saved.sources != now or len(saved.counts) != len(now):
            raise DataError(
                f"--data: had {_told(saved.sources)} when the checkpoint was written and has {_told(now)}: put the old "
                f"files back, or start a new run"
            )
        return Problems(self.mixture, saved.counts)

    def _next(self) -> Problem:
        source = self.mixture.next(self.counts)
        found = self.mixture.sources[source]
        conversation = found.conversation(self.counts[source])
        self.counts[source] += 1
        return Problem(conversation, rule_of(found))


class _State(msgspec.Struct):
    """A position as JSON has it."""

    sources: list[tuple[str, int]]
    counts: list[int]


def open_problems(
    spec: str, seed: int, fits: Callable[[Conversation], bool], note: Callable[[str], None]
) -> tuple[Problems, Problems]:
    """Those to train on and those held out, of what `mixture.open_mixtures` takes, less "generated".

    Problems of files that do not fit, their answers included, are left out, which ``note`` is told.  Raises what
    `open_mixtures` does; ConfigError where no problem fits, DataError for an answer of a file that comes to no number.
    """
    train, held_out = (
        Mixture(tuple(_usable(source, fits, note) for source in mixture.sources), mixture.weights)
        for mixture in open_mixtures(spec, seed, "rl")
    )
    return Problems(train), Problems(held_out)


def rule_of(source: Source) -> Rule:
    """What an answer to a problem of a source is judged by."""
    task = generated.SETS.get(source.name)
    return same_number if task is None else _rule_of_set(task)


def _rule_of_set(task: TaskSet) -> Rule:
    def is_right(conversation: Conversation, spans: Sequence[Span]) -> bool:
        question, answer = (message.content for message in conversation.messages)
        assert isinstance(question, str)  # only the assistant's has parts
        return task.is_right(Item(question, said(answer) if isinstance(answer, str) else answer), spans)

    return is_right


def _usable(source: Source, fits: Callable[[Conversation], bool], note: Callable[[str], None]) -> Source:
    if source.name == generated.GENERATED:
        sets = ", ".join(generated.SETS)
        raise ConfigError(f"--data {source.name}: its conversations have several answers: name sets of {sets}")
    if not isinstance(source, Listed):
        if not any(fits(source.conversation(index)) for index in range(_LOOKED_AT)):
            raise ConfigError(f"--data {source.name}: no problem of it fits into the context of the model")
        return source
    for conversation in source.conversations:
        if reference_number(conversation) is None:
            raise DataError(
                f"{source.name}: the answer to {_beginning(conversation)!r} does not end in '#### NUMBER', by which "
                f"answers are judged: mend or remove it"
            )
    kept = [conversation for conversation in source.conversations if fits(conversation)]
    if not kept:
        raise ConfigError(f"--data {source.name}: no problem of it fits into the context of the model")
    if len(kept) < source.length:
        note(f"{source.name}: {source.length - len(kept)} of {source.length} problems are longer than the context")
    return dataclasses.replace(source, conversations=kept)


def _beginning(conversation: Conversation) -> str:
    return str(conversation.messages[0].content)[:40]


def _told(sources: Sequence[tuple[str, int]]) -> str:
    return ", ".join(f"{name} ({length} problems)" if length else name for name, length in sources)
