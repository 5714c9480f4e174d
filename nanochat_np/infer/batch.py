"""Continuous batching: generations join and leave between steps, each of which gives one token to all that go on.

Source: Yu et al. 2022, Orca (OSDI): iteration-level scheduling.
"""

from collections import deque
from collections.abc import Iterable, Sequence

import numpy as np

from nanochat_np.errors import PromptTooLong
from nanochat_np.infer.generation import Generation
from nanochat_np.infer.gpt_engine import GPTEngine

# Tokens of a prompt that are read in a step, so that those who write do not wait long.  Always as many: how a prompt is
# cut decides about the last digits of its logits, which must not depend on who else is there.
CHUNK = 128


class Batch:
    """Those that came first get a slot first; what one generation gives does not depend on the others."""

    def __init__(self, engine: GPTEngine) -> None:
        self.engine = engine
        self._free = list(range(engine.slots))
        self._texts: dict[int, list[int]] = {slot: [] for slot in self._free}  # the tokens that a slot has read
        self._waiting: deque[Generation] = deque()
        self._reading: tuple[int, Generation] | None = None
        self._writing: dict[int, Generation] = {}

    @property
    def idle(self) -> bool:
        """Whether nothing goes on and nothing waits."""
        return not (self._writing or self._waiting or self._reading)

    @property
    def active(self) -> int:
        """Generations that have a slot."""
        return len(self._writing) + (self._reading is not None)

    @property
    def waiting(self) -> int:
        """Generations that wait for one."""
        return len(self._waiting)

    def add(self, generation: Generation) -> None:
        """Let a generation wait for its turn.  Raises PromptTooLong where its prompt leaves no room for an answer."""
        most = self.engine.config.sequence_len - 1
        if len(generation.prompt) > most:
            raise PromptTooLong(len(generation.prompt), most)
        self._waiting.append(generation)

    def step(self) -> list[Generation]:
        """A token for each that writes, and a part of the prompt for one that waits; those that changed."""
        changed = self._write()
        changed += self._read()
        return changed

    def _write(self) -> list[Generation]:
        changed = [generation for slot, generation in list(self._writing.items()) if self._ended(slot)]
        going = dict(self._writing)
        if not going:
            return changed
        tokens = [generation.tokens[-1] for generation in going.values()]
        logits = self.engine.step(list(going), tokens)
        for row, (slot, generation) in enumerate(going.items()):
            self._texts[slot].append(tokens[row])
            generation.take(logits[row])
            self._ended(slot)
        return changed + list(going.values())

    def _read(self) -> list[Generation]:
        ended = self._without_cancelled()
        if self._reading is None and self._waiting and self._free:
            generation = self._waiting.popleft()
            self._reading = self._slot_for(generation.prompt), generation
        if self._reading is None:
            return ended
        slot, generation = self._reading
        text, prompt = self._texts[slot], generation.prompt
        if generation.end_if_due(self._room(generation)):
            self._reading = None
            self._free.append(slot)
            return [*ended, generation]
        part = prompt[len(text) : len(text) + CHUNK]
        logits = self.engine.extend(slot, part)
        text += part
        if len(text) < len(prompt):
            return ended
        self._reading = None
        return [*ended, self._begin(slot, generation, logits), *self._sharing(slot, prompt, logits)]

    def _begin(self, slot: int, generation: Generation, logits: np.ndarray) -> Generation:
        """The first token of an answer."""
        self._writing[slot] = generation
        generation.take(logits)
        self._ended(slot)
        return generation

    def _sharing(self, slot: int, prompt: list[int], logits: np.ndarray) -> list[Generation]:
        """Others that wait with the same prompt: it is read once for all that find a slot."""
        begun = []
        for generation in [g for g in self._waiting if g.prompt == prompt and g.sampling.max_tokens > 0]:
            if not self._free:
                break
            other = self._free.pop()
            self._waiting.remove(generation)
            self.engine.copy(slot, other)
            self._texts[other] = list(prompt)
            begun.append(self._begin(other, generation, logits))
        return begun

    def _slot_for(self, prompt: list[int]) -> int:
        """A free slot, with a text that the prompt begins with where there is one: a conversation goes on in its own.

        The last token is read in any case, for its logits.
        """

        def known(slot: int) -> int:
            text = self._texts[slot]
            return len(text) if len(text) < len(prompt) and prompt[: len(text)] == text else 0

        slot = max(self._free, key=known)
        self._free.remove(slot)
        if not known(slot):
            self.engine.begin(slot)
            self._texts[slot] = []
        return slot

    def _room(self, generation: Generation) -> int:
        return self.engine.config.sequence_len - len(generation.prompt)

    def _ended(self, slot: int) -> bool:
        """Whether the generation in a slot has ended; then the slot is free."""
        generation = self._writing[slot]
        if not generation.end_if_due(self._room(generation)):
            return False
        del self._writing[slot]
        self._free.append(slot)
        return True

    def _without_cancelled(self) -> list[Generation]:
        ended = [generation for generation in self._waiting if generation.end_if_due(self._room(generation))]
        self._waiting = deque(generation for generation in self._waiting if generation.finish_reason is None)
        return ended


def complete(engine: GPTEngine, generations: Sequence[Generation]) -> None:
    """Write all to their ends.  Raises PromptTooLong."""
    for _ in steps(engine, generations):
        pass


def steps(engine: GPTEngine, generations: Sequence[Generation]) -> Iterable[list[Generation]]:
    """As `complete`, telling after each step which generations changed."""
    batch = Batch(engine)
    for generation in generations:
        batch.add(generation)
    while not batch.idle:
        yield batch.step()
