"""An answer as a reader sees it: the text of a generation as it comes, and why it ended."""

from collections.abc import Iterator, Sequence

from nanochat_np.infer.answer import AnswerText, Span
from nanochat_np.infer.batch import complete, steps
from nanochat_np.infer.generation import FinishReason, Generation
from nanochat_np.infer.gpt_engine import GPTEngine
from nanochat_np.infer.sampling import Sampling
from nanochat_np.infer.tool import Tool
from nanochat_np.text.bpe import BpeTokenizer
from nanochat_np.text.conversation import Conversation, Message, Part, render_for_completion, stop_ids


class Answer:
    """``parts`` are what came so far, text that follows text as one.  A stop string ends the generation."""

    def __init__(self, generation: Generation, tokenizer: BpeTokenizer, stop: Sequence[str] = ()) -> None:
        self.generation = generation
        self.parts: list[Part] = []
        self.ended = False
        self._text, self._read = AnswerText(tokenizer, stop), 0

    @property
    def text(self) -> str:
        """All of it, without calls of the tool and their results."""
        return "".join(part.text for part in self.parts if part.type == "text")

    @property
    def finish_reason(self) -> FinishReason | None:
        """As of a generation; "stop" after a stop string too."""
        return "stop" if self._text.stopped else self.generation.finish_reason

    def news(self) -> list[Span]:
        """What came since the last call."""
        tokens = self.generation.tokens[self._read :]
        self._read += len(tokens)
        spans = self._text.feed(tokens)
        if self._text.stopped:
            self.generation.cancel()
        if self.finish_reason is not None and not self.ended:
            self.ended = True
            spans += self._text.end()
        for span in spans:
            self._add(span)
        return spans

    def _add(self, span: Span) -> None:
        if self.parts and span.kind == self.parts[-1].type == "text":
            self.parts[-1] = Part("text", self.parts[-1].text + span.text)
        else:
            self.parts.append(Part(span.kind, span.text))


def told(engine: GPTEngine, answers: Sequence[Answer]) -> Iterator[tuple[Answer, list[Span]]]:
    """What comes, one answer after the other although they are written side by side.

    Raises PromptTooLong at the first step where a prompt leaves no room for an answer.
    """
    held: dict[int, list[Span]] = {number: [] for number in range(len(answers))}
    shown = 0
    for _ in steps(engine, [answer.generation for answer in answers]):
        for number, answer in enumerate(answers):
            held[number] += answer.news()
        while shown < len(answers) and (held[shown] or answers[shown].ended):
            yield answers[shown], held[shown]
            held[shown] = []
            if not answers[shown].ended:
                break
            shown += 1


def reply(engine: GPTEngine, message: str, sampling: Sampling) -> str:
    """What the assistant writes to a user's message: calls of the tool and their results too, with control tokens."""
    tokenizer = engine.tokenizer
    asked = Conversation((Message("user", message), Message("assistant", "")))
    context = render_for_completion(tokenizer, asked).tolist()
    generation = Generation(context, sampling, stop=stop_ids(tokenizer), tool=Tool(tokenizer))
    complete(engine, [generation])
    return tokenizer.decode(generation.tokens)
