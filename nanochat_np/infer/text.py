"""Text from a character model: prompt in, characters out."""

from collections.abc import Iterator

from nanochat_np.data.futuristic import transition_bias
from nanochat_np.errors import PromptTooLong
from nanochat_np.infer.engine import Engine
from nanochat_np.infer.sampler import Sampler
from nanochat_np.nn.model import ModelConfig
from nanochat_np.text.character import BOS, CharTokenizer


def prompt_context(config: ModelConfig, tokenizer: CharTokenizer, prompt: str, truncate: bool = False) -> list[int]:
    """The tokens that a model reads before it writes: a start of text, then the prompt.

    Text starts as a line does: after a line break where the vocabulary has one, which training has seen thousands of
    times, else after BOS, which it has seen at the start of each document.  A model whose window is one token reads
    only the last one, so any prompt fits it.  Otherwise raises PromptTooLong for a prompt of more than block_size − 1
    tokens, unless ``truncate`` keeps its end; raises UnknownCharacter for what the vocabulary lacks.
    """
    start = int(tokenizer.encode("\n")[0]) if "\n" in tokenizer.characters else BOS
    tokens = [start, *tokenizer.encode(prompt).tolist()]
    if config.block_size > 1 and len(tokens) > config.block_size and not truncate:
        raise PromptTooLong(len(tokens) - 1, config.block_size - 1)
    return tokens[-config.block_size :]


def continue_text(
    engine: Engine,
    tokenizer: CharTokenizer,
    style: str,
    prompt: str,
    count: int,
    sampler: Sampler,
    truncate: bool = False,
) -> Iterator[str]:
    """Yield ``count`` characters, one at a time, that continue ``prompt``.

    A bigram of futuristic style favours the transitions of its words (`data.futuristic`).  Raises, at once and not at
    the first character, what `prompt_context` raises.
    """
    context = prompt_context(engine.config, tokenizer, prompt, truncate)
    favours = style == "futuristic" and engine.config.kind == "bigram"
    bias = transition_bias(tokenizer) if favours else None
    return (tokenizer.decode([token]) for token in engine.generate(context, count, sampler, bias))
