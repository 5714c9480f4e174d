"""The closed table of fused versions of the reference operations in ``ops`` and ``optim``.

A function marked ``@fused_on_cpu("module")`` is the readable reference.  Where its arrays are NumPy's, the function of
the same name and parameters in ``kernels/<module>.py`` runs in its place.  ``reference_only`` turns that off, for
tests, for teaching and for comparison; ``--kernels numpy``, or ``NANOCHAT_NP_KERNELS=numpy`` in the environment, for
the whole process.  A kernel is here only if it is faster: each has a parity test and a line in ``bench lab``.
"""

import contextlib
import functools
import importlib
import importlib.util
import os
import sys
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from typing import Any, TypeVar

import numpy as np

from nanochat_np.backend.arrays import array_module
from nanochat_np.errors import ConfigError

VARIABLE, CHOICES = "NANOCHAT_NP_KERNELS", ("auto", "numba", "numpy")

F = TypeVar("F", bound=Callable[..., Any])

TABLE: dict[str, str] = {}  # name of an operation -> module of its kernel
_REFERENCES: dict[str, Callable[..., Any]] = {}
_PAYS: dict[str, Callable[..., bool]] = {}  # name -> for which arguments its kernel is the faster one, if not for all

_enabled: ContextVar[bool] = ContextVar("kernels_enabled", default=True)
_choice = os.environ.get(VARIABLE, "auto")
_tell_of_first_use: Callable[[int], None] | None = None


def obey_environment() -> None:
    """Take the choice for the process from its environment: auto, numba or numpy.

    Raises ConfigError for another word, and for numba where it does not work.
    """
    global _choice
    asked = os.environ.get(VARIABLE, "auto")
    if asked not in CHOICES:
        raise ConfigError(f"{VARIABLE}={asked}: takes {', '.join(CHOICES)}")
    if asked == "numba" and not can_compile():
        raise ConfigError("--kernels numba: Numba does not import here: pip install numba, or leave it out")
    _choice = asked


def _begin_forked() -> None:
    """In a child that ``os.fork`` made: Numba's threads are not in it, and a loop that waits for them ends the process.

    So where they have run before, the child computes with the references.  A new interpreter, as ``spawn`` makes it,
    has threads of its own.
    """
    global _choice
    parallel = sys.modules.get("numba.np.ufunc.parallel")
    if parallel is not None and getattr(parallel, "_is_initialized", True):
        _choice = "numpy"


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begin_forked)


@contextlib.contextmanager
def reference_only() -> Iterator[None]:
    """Within this context every operation runs its reference."""
    token = _enabled.set(False)
    try:
        yield
    finally:
        _enabled.reset(token)


@functools.cache
def can_compile() -> bool:
    """Whether Numba is installed and works: on a machine with a GPU it need not be."""
    try:
        importlib.import_module("nanochat_np.backend.jit")
    except ImportError:
        return False
    return True


def in_use() -> bool:
    """Whether operations on NumPy's arrays run as compiled loops."""
    return _wanted() and can_compile()


def _wanted() -> bool:
    return _choice != "numpy" and _enabled.get()


def multiply_bfloat16() -> bool:
    """Whether kernels are in use, on a CPU that multiplies bfloat16 by an instruction of its own."""
    return in_use() and importlib.import_module(f"{__name__}.target").bfloat16_kind() == "bfloat16_dot"


@functools.cache
def kernel(name: str) -> Callable[..., Any] | None:
    """The fused version of operation ``name``, or None where Numba does not work."""
    if not can_compile():
        return None
    fused: Callable[..., Any] = getattr(importlib.import_module(f"{__name__}.{TABLE[name]}"), name)
    if _tell_of_first_use is not None:
        _tell_of_first_use(kernel.cache_info().currsize)
    return fused


@contextlib.contextmanager
def told_of_first_uses(tell: Callable[[int], None]) -> Iterator[None]:
    """Within this context ``tell`` learns, before a kernel is used for the first time, how many were used before."""
    global _tell_of_first_use
    _tell_of_first_use = tell
    try:
        yield
    finally:
        _tell_of_first_use = None


def reference(name: str) -> Callable[..., Any]:
    """The readable version of operation ``name``, without the dispatch in front of it."""
    return _REFERENCES[name]


def pays_on_cpu(name: str, *args: Any, **named: Any) -> bool:
    """Whether the dispatch takes the kernel of operation ``name`` for these arguments, arrays of NumPy."""
    pays = _PAYS.get(name)
    return pays is None or pays(*args, **named)


def are_cold() -> bool:
    """Whether the kernels have yet to be compiled on this machine, which takes a while and should be said."""
    return in_use() and importlib.import_module("nanochat_np.backend.jit").is_cold()


def fused_on_cpu(module: str, pays: Callable[..., bool] | None = None) -> Callable[[F], F]:
    """Mark a reference whose fused version stands under the same name in ``kernels/<module>.py``.

    ``pays`` takes the arguments and tells whether the kernel is the faster one for them; by default it always is.
    """

    def mark(reference: F) -> F:
        name = reference.__name__
        TABLE[name], _REFERENCES[name] = module, reference
        if pays is not None:
            _PAYS[name] = pays

        @functools.wraps(reference)
        def run(*args: Any, **named: Any) -> Any:
            on_cpu = _wanted() and _on_cpu((*args, *named.values()))
            if on_cpu and pays_on_cpu(name, *args, **named) and (fused := kernel(name)):
                return fused(*args, **named)
            return reference(*args, **named)

        return run  # type: ignore[return-value]

    return mark


def _on_cpu(args: tuple[Any, ...]) -> bool:
    """Whether all arrays among the arguments, those inside a cache tuple too, are NumPy's."""
    if "cupy" not in sys.modules:
        return True
    return all(array_module(*(arg if isinstance(arg, tuple) else (arg,))) is np for arg in args)
