"""The calculator as part of an answer: what the model writes between two tokens is calculated, the result put in.

    <|python_start|> 12*34 <|python_end|>  ->  <|output_start|> 408 <|output_end|>

Source: karpathy/nanochat at 92d63d4, engine.py.
"""

from nanochat_np.infer.calculator import calculate
from nanochat_np.text import special
from nanochat_np.text.bpe import BpeTokenizer


class Tool:
    """Watches one answer."""

    def __init__(self, tokenizer: BpeTokenizer) -> None:
        self._tokenizer = tokenizer
        self._ids = tokenizer.special_ids
        self._expression: list[int] | None = None  # tokens since the call began; None outside of one

    def read(self, token: int) -> list[int]:
        """The tokens that have to follow ``token`` of the answer: none, unless it ends a call that has a result."""
        if token == self._ids[special.PYTHON_START]:
            self._expression = []
        elif self._expression is None:
            pass
        elif token != self._ids[special.PYTHON_END]:
            self._expression.append(token)
        else:
            expression, self._expression = self._tokenizer.decode(self._expression), None
            result = calculate(expression)
            if result is not None:
                start, end = self._ids[special.OUTPUT_START], self._ids[special.OUTPUT_END]
                return self._tokenizer.encode(result, start, end).tolist()
        return []
