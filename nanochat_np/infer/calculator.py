"""The calculator that a model may call: arithmetic, and letters counted in a word.

Nothing is ever run as Python.  Arithmetic is parsed to a tree and evaluated on a whitelist of its nodes; counting is
one pattern.  There are no powers, so a text of n characters cannot make a number of more than n digits, and
MAX_CHARACTERS bounds time and memory.  Source of what can be asked: karpathy/nanochat at 92d63d4, engine.py; of its
refusals, those of words that hold the names of Python's functions ("file", "open", "input", …) are left out.
"""

import ast
import operator
import re
from collections.abc import Callable, Mapping
from typing import Any

MAX_CHARACTERS = 256

_ARITHMETIC = re.compile(r"[-+*/%.()0-9 ]+")
_COMMA_IN_NUMBER = re.compile(r"(?<=[0-9]),(?=[0-9])")
_QUOTED = r"""(?:'([^'\\\n]*)'|"([^"\\\n]*)")"""
_COUNT = re.compile(rf"{_QUOTED} *\. *count *\( *{_QUOTED} *\)")
_BINARY: Mapping[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
}
_UNARY: Mapping[type[ast.unaryop], Callable[[Any], Any]] = {ast.USub: operator.neg, ast.UAdd: operator.pos}


def calculate(expression: str) -> str | None:
    """The result as Python prints it, or None where it is not an expression that the calculator knows.  Never raises.

    Known are numbers of digits (with commas inside them, and a decimal point), + - * / // % and parentheses; and
    ``'word'.count('letters')`` with quotes of either kind around what has neither backslash nor line end.
    """
    text = expression.strip()
    if len(text) > MAX_CHARACTERS:
        return None
    counted = _COUNT.fullmatch(text)
    if counted:
        word, letters = (one if one is not None else other for one, other in (counted.group(1, 2), counted.group(3, 4)))
        return str(word.count(letters))
    text = _COMMA_IN_NUMBER.sub("", text)
    if not _ARITHMETIC.fullmatch(text):
        return None
    try:
        return str(_value(ast.parse(text, mode="eval").body))
    except (SyntaxError, ArithmeticError, RecursionError, MemoryError):  # the last two: parentheses too deep to parse
        return None


def _value(node: ast.expr) -> int | float:
    match node:
        case ast.Constant(value=int() | float() as number):
            return number
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _BINARY:
            value: int | float = _BINARY[type(op)](_value(left), _value(right))
            return value
        case ast.UnaryOp(op=sign, operand=operand) if type(sign) in _UNARY:
            negated: int | float = _UNARY[type(sign)](_value(operand))
            return negated
    raise SyntaxError(f"{type(node).__name__} is not arithmetic")
