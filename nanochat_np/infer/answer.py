"""From the tokens of an answer to its text as it comes."""

import codecs
from collections.abc import Iterable, Sequence
from typing import Literal, NamedTuple

from nanochat_np.text import special
from nanochat_np.text.bpe import BpeTokenizer

Kind = Literal["text", "python", "python_output"]


class Span(NamedTuple):
    """A piece of an answer: text, a call of the tool, or the tool's answer."""

    kind: Kind
    text: str


_BEGINS: dict[str, Kind] = {special.PYTHON_START: "python", special.OUTPUT_START: "python_output"}


class AnswerText:
    """Never half a character, never a control token; a call of the tool and its answer come whole.

    Text ends before the first of the ``stop`` strings, and then ``stopped`` is True; what may be the beginning of one
    is held back until that is known.
    """

    def __init__(self, tokenizer: BpeTokenizer, stop: Sequence[str] = ()) -> None:
        self._tokenizer, self._stop = tokenizer, [text for text in stop if text]
        self._names = {number: name for name, number in tokenizer.special_ids.items()}
        self._kind: Kind = "text"
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._held = ""
        self.stopped = False

    def feed(self, tokens: Iterable[int]) -> list[Span]:
        """What more tokens add."""
        spans: list[Span] = []
        for token in tokens:
            if self.stopped:
                break
            name = self._names.get(token)
            if name is None:
                self._held += self._decoder.decode(self._tokenizer.decode_bytes([token]))
                spans += self._text(final=False)
            else:
                spans += self._change_to(_BEGINS.get(name, "text"))
        return _merged(spans)

    def end(self) -> list[Span]:
        """What was held back."""
        return [] if self.stopped else _merged(self._change_to("text"))

    def _change_to(self, kind: Kind) -> list[Span]:
        """The rest of what came so far; what comes next is of ``kind``."""
        self._held += self._decoder.decode(b"", final=True)
        self._decoder.reset()
        spans = self._text(final=True)
        self._kind = kind
        return spans

    def _text(self, final: bool) -> list[Span]:
        """What can be told now of what is held."""
        if self._kind != "text":
            return [Span(self._kind, self._take(len(self._held)))] if final else []
        places = [place for stop in self._stop if (place := self._held.find(stop)) >= 0]
        if places:
            self.stopped = True
            return [Span("text", self._take(min(places)))]
        return [Span("text", self._take(len(self._held) - (0 if final else self._begun())))]

    def _begun(self) -> int:
        """How many of the last characters may begin a stop string."""
        lengths = (size for stop in self._stop for size in range(1, len(stop)) if self._held.endswith(stop[:size]))
        return max(lengths, default=0)

    def _take(self, count: int) -> str:
        text, self._held = self._held[:count], self._held[count:]
        return text


def _merged(spans: list[Span]) -> list[Span]:
    """Without empty ones, and with texts that follow each other as one."""
    merged: list[Span] = []
    for span in spans:
        if span.kind == "text" and merged and merged[-1].kind == "text":
            merged[-1] = Span("text", merged[-1].text + span.text)
        elif span.text:
            merged.append(span)
    return merged
