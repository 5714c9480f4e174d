"""A conversation with a model: what was said, and how the next answer is to be written."""

from collections.abc import Iterator, Sequence

from nanochat_np.errors import NanochatError
from nanochat_np.infer.answer import Span
from nanochat_np.infer.answering import Answer
from nanochat_np.infer.batch import Batch
from nanochat_np.infer.generation import Generation
from nanochat_np.infer.gpt_engine import GPTEngine
from nanochat_np.infer.sampling import Sampling
from nanochat_np.infer.tool import Tool
from nanochat_np.text.conversation import Message, stop_ids
from nanochat_np.text.fit import fit_conversation, room_beside


class Session:
    """``messages`` are the user's and the assistant's in turn, ``left_out`` how many the last prompt had no room for.

    Each answer has draws of its own.
    """

    def __init__(
        self,
        engine: GPTEngine,
        sampling: Sampling,
        *,
        system: str | None = None,
        stop: Sequence[str] = (),
        tool: bool = True,
    ) -> None:
        self.engine, self.sampling, self.system = engine, sampling, system
        self.messages: list[Message] = []
        self.left_out = 0
        self._stop, self._tool = stop, tool
        self._batch = Batch(engine)
        self._answers = 0
        self._current: Answer | None = None

    @property
    def conversation(self) -> list[Message]:
        """All messages, with the system's."""
        return [*self._system(), *self.messages]

    def ask(self, text: str) -> Iterator[list[Span]]:
        """The answer to a message of the user, as it comes; with its end both are part of the conversation.

        Raises MessageTooLong and DataError at once.
        """
        question = Message("user", text)
        room = room_beside(self.sampling.max_tokens, self.engine.config.sequence_len)
        prompt, self.left_out = fit_conversation(self.engine.tokenizer, [*self.conversation, question], room)
        return self._answered(question, prompt)

    def retry(self) -> Iterator[list[Span]]:
        """Another answer in the place of the last one.  There must be one."""
        *before, question, _ = kept = self.messages
        self.messages = before
        try:
            return self.ask(str(question.content))
        except NanochatError:
            self.messages = kept
            raise

    def cancel(self) -> None:
        """Let the answer in the making end with what it has; from any thread, or a signal's handler."""
        if self._current is not None:
            self._current.generation.cancel()

    def clear(self) -> None:
        """Begin a new conversation."""
        self.messages, self.left_out = [], 0

    def _answered(self, question: Message, prompt: list[int]) -> Iterator[list[Span]]:
        tokenizer = self.engine.tokenizer
        generation = Generation(
            prompt,
            self.sampling,
            stop=stop_ids(tokenizer),
            tool=Tool(tokenizer) if self._tool else None,
            sample=self._answers,
        )
        self._answers += 1
        self._current = answer = Answer(generation, tokenizer, self._stop)
        self._batch.add(generation)
        while not answer.ended:
            self._batch.step()
            yield answer.news()
        plain = all(part.type == "text" for part in answer.parts)
        self.messages += [question, Message("assistant", answer.text if plain else tuple(answer.parts))]

    def _system(self) -> list[Message]:
        return [Message("system", self.system)] if self.system is not None else []
