"""In which precision large matrix products multiply: float32 as their operands are, or bfloat16."""

import contextlib
from collections.abc import Iterator
from contextvars import ContextVar
from typing import Literal

ProductDtype = Literal["float32", "bfloat16"]

_product_dtype: ContextVar[ProductDtype] = ContextVar("product_dtype", default="float32")


def product_dtype() -> ProductDtype:
    """What products of float32 matrices multiply in."""
    return _product_dtype.get()


@contextlib.contextmanager
def products_in(dtype: ProductDtype) -> Iterator[None]:
    """Within this context products of float32 matrices round their operands to ``dtype``; sums are float32 still."""
    token = _product_dtype.set(dtype)
    try:
        yield
    finally:
        _product_dtype.reset(token)
