"""A stand-in for CuPy, made of NumPy, for machines without a GPU.

It shows that code keeps to the rules by which arrays on a GPU live: NumPy's and CuPy's arrays never meet in an
operation, nothing turns into a NumPy array but by ``get()``, a reduction is an array and not a number, and arrays are
made and used on the current device.  In three things it is stricter than CuPy, which would wait for the GPU or copy in
silence: numbers of Python made from an array, NumPy arrays as indices, and arrays of another device all fail.
It has the few functions that the package uses, all of which CuPy 14 has under these names.

It shows nothing about CuPy's arithmetic, speed, determinism or errors: only a GPU does (``pytest -m gpu``).
"""

import operator
from importlib.machinery import ModuleSpec
from types import ModuleType, SimpleNamespace

import numpy as np

PROPERTIES = {"name": b"NVIDIA H200", "totalGlobalMem": 1 << 37, "major": 9, "minor": 0}
_FUNCTIONS = "abs arange bincount concatenate empty empty_like exp log matmul maximum minimum sqrt stack tanh vdot"
_FUNCTIONS += " where zeros zeros_like"
_METHODS = "astype copy max mean reshape sum swapaxes transpose"
_OPERATORS = "add sub mul truediv floordiv pow matmul or"
_COMPARISONS = "eq ne lt le gt ge"
_PLAIN = (bool, int, float, str, type, type(None), type(Ellipsis), np.generic, np.dtype)


class Device:
    """A GPU by its number; within ``with Device(n):`` it is the current one."""

    current = 0

    def __init__(self, number):
        self.number = number

    def __enter__(self):
        self.outer, Device.current = Device.current, self.number

    def __exit__(self, *exception):
        Device.current = self.outer


class ndarray:
    """Values that NumPy cannot get at."""

    __array_ufunc__ = None  # NumPy's scalars leave their operators to this class
    __hash__ = None
    gets = 0  # copies to the host so far, each of which waits for the GPU

    def __init__(self, values):
        self._values, self._device = np.asarray(values), Device.current

    def __array__(self, *args, **kwargs):
        raise TypeError("implicit conversion to a NumPy array: use .get()")

    def _waits(self):
        raise TypeError("a number from a GPU's array waits for the GPU")

    __float__ = __int__ = __bool__ = _waits

    def get(self):
        ndarray.gets += 1
        return self._values.copy()

    def fill(self, value):
        _plain(self).fill(_plain(value))

    def __len__(self):
        return len(self._values)

    def __neg__(self):
        return ndarray(-_plain(self))

    def __getitem__(self, key):
        return ndarray(_plain(self)[_plain(key)])

    def __setitem__(self, key, value):
        _plain(self)[_plain(key)] = _plain(value)

    T = property(lambda self: ndarray(self._values.T))
    shape = property(lambda self: self._values.shape)
    dtype = property(lambda self: self._values.dtype)
    ndim = property(lambda self: self._values.ndim)
    size = property(lambda self: self._values.size)


def _plain(value):
    """What an operation may be given, as NumPy takes it; TypeError for what CuPy would refuse."""
    if isinstance(value, ndarray):
        if value._device != Device.current:
            raise ValueError(f"an array of device {value._device} while the current one is {Device.current}")
        return value._values
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, (tuple, slice)):
        parts = (value.start, value.stop, value.step) if isinstance(value, slice) else value
        return (slice if isinstance(value, slice) else lambda *items: items)(*map(_plain, parts))
    if isinstance(value, _PLAIN):
        return value
    raise TypeError(f"Unsupported type {type(value)}")


def _lifted(function):
    """A function of NumPy's arrays as one of these."""
    return lambda *args, **named: ndarray(function(*map(_plain, args), **{k: _plain(v) for k, v in named.items()}))


def _reflected(function):
    return lambda x, y: function(y, x)


def _in_place(function):
    def change(self, other):
        function(_plain(self), _plain(other))
        return self

    return change


for name in _METHODS.split():
    setattr(ndarray, name, _lifted(getattr(np.ndarray, name)))
for name in (_OPERATORS + " " + _COMPARISONS).split():
    setattr(ndarray, f"__{name}__", _lifted(getattr(operator, f"__{name}__")))
for name in _OPERATORS.split():
    setattr(ndarray, f"__r{name}__", _lifted(_reflected(getattr(operator, f"__{name}__"))))
for name in ("add", "sub", "mul", "truediv"):
    setattr(ndarray, f"__i{name}__", _in_place(getattr(operator, f"i{name}")))


def fake_cupy(n_devices=2):
    """A module to stand in ``sys.modules["cupy"]``."""
    Device.current = 0
    cupy = ModuleType("cupy")
    cupy.__spec__ = ModuleSpec("cupy", None)
    for name in _FUNCTIONS.split():
        setattr(cupy, name, _lifted(getattr(np, name)))
    cupy.ndarray, cupy.int64, cupy.inf = ndarray, np.int64, np.inf
    cupy.array = cupy.asarray = lambda values, dtype=None, order="K": ndarray(
        np.array(_plain(values) if isinstance(values, ndarray) else values, dtype, order=order)
    )
    cupy.__version__ = "0.0-fake"
    cupy.cuda = SimpleNamespace(
        Device=Device,
        runtime=SimpleNamespace(
            getDeviceCount=lambda: n_devices,
            CUDARuntimeError=RuntimeError,
            memGetInfo=lambda: (1 << 36, 1 << 36),
            getDeviceProperties=lambda index: PROPERTIES,
            driverGetVersion=lambda: 13000,
            runtimeGetVersion=lambda: 13000,
        ),
        memory=SimpleNamespace(OutOfMemoryError=MemoryError),
        get_current_stream=lambda: SimpleNamespace(synchronize=lambda: None),
    )
    cupy.get_default_memory_pool = lambda: SimpleNamespace(total_bytes=lambda: 1 << 20)
    return cupy
