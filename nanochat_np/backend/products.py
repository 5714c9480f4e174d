"""In which precision large matrix products multiply: as their operands are, or in bfloat16.

"bfloat16" as the precision of a model means float32 weights, activations, gradients and moments, whose products round
their operands.  Source: Micikevicius et al. 2018, arXiv:1710.03740 (master weights); Kalamkar et al. 2019,
arXiv:1905.12322 (bfloat16).
"""

import contextlib
from collections.abc import Iterator
from contextvars import ContextVar
from typing import Literal

from nanochat_np.errors import ConfigError

ProductDtype = Literal["float32", "bfloat16"]

_product_dtype: ContextVar[ProductDtype] = ContextVar("product_dtype", default="float32")


def product_dtype() -> ProductDtype:
    """What products of float32 matrices multiply in."""
    return _product_dtype.get()


def array_dtype(precision: str) -> str:
    """What arrays of a model are in."""
    return "float32" if precision == "bfloat16" else precision


def require_products(precision: str, on_gpu: bool) -> None:
    """Raise ConfigError for a precision whose products the device does not have yet."""
    if precision == "bfloat16" and on_gpu:
        raise ConfigError("--dtype bfloat16: a GPU multiplies in float32 so far: leave it out, or use --device cpu")


@contextlib.contextmanager
def products_in(precision: str) -> Iterator[None]:
    """Within this context float32 matrices are rounded to bfloat16 where that is the precision; sums stay float32."""
    token = _product_dtype.set("bfloat16" if precision == "bfloat16" else "float32")
    try:
        yield
    finally:
        _product_dtype.reset(token)
