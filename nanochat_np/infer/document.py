"""A document that goes on, of any length: once the context is full each token is computed from the last ones anew."""

from collections.abc import Iterator

from nanochat_np.errors import PromptTooLong
from nanochat_np.infer.answering import Answer
from nanochat_np.infer.generation import Generation
from nanochat_np.infer.gpt_engine import GPTEngine
from nanochat_np.infer.sampling import Sampling
from nanochat_np.text.bpe import BpeTokenizer


def document_prompt(tokenizer: BpeTokenizer, prompt: str, most: int, truncate: bool = False) -> list[int]:
    """Ids of the beginning of a document, at most ``most`` with <|bos|>.

    Raises PromptTooLong for a longer prompt, unless ``truncate`` keeps its end.
    """
    tokens = tokenizer.encode(prompt).tolist()
    if len(tokens) > most - 1 and not truncate:
        raise PromptTooLong(len(tokens), most - 1)
    return [tokenizer.bos, *tokens[max(0, len(tokens) - (most - 1)) :]]


def continue_prompt(
    engine: GPTEngine, prompt: str, sampling: Sampling, sample: int = 0, truncate: bool = False
) -> Iterator[str]:
    """Yield text that continues ``prompt`` in a document of its own, to its end or for ``sampling.max_tokens``.

    ``sample`` tells texts of one prompt apart.  Raises PromptTooLong at once, for a prompt that leaves no room in
    ``sequence_len``, unless ``truncate`` keeps its end.
    """
    tokenizer = engine.tokenizer
    ids = document_prompt(tokenizer, prompt, engine.config.sequence_len, truncate)
    generation = Generation(ids, sampling, stop={tokenizer.bos}, sample=sample)
    return _text(engine, Answer(generation, tokenizer))


def _text(engine: GPTEngine, answer: Answer) -> Iterator[str]:
    for _ in _tokens(engine, answer.generation):
        yield from (span.text for span in answer.news())


def _tokens(engine: GPTEngine, generation: Generation) -> Iterator[None]:
    """Let a generation take token by token, in the first slot."""
    width, written = engine.config.sequence_len, generation.sampling.max_tokens
    engine.begin(0)
    text = generation.prompt
    while not generation.end_if_due(written):
        generation.take(engine.extend(0, text))
        yield
        if engine.length(0) < width:
            text = generation.tokens[-1:]
        else:
            engine.begin(0)
            text = [*generation.prompt, *generation.tokens][-width:]
    yield
