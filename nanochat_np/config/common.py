"""Types of flags, and the flags that every command takes."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

Count = Annotated[int, Meta(ge=0)]
Positive = Annotated[int, Meta(ge=1)]
Folder = Annotated[str, Meta(min_length=1)]  # an empty one, of a variable that is not set, would be the current folder
DeviceName = Annotated[str, Meta(pattern=r"^(auto|cpu|cuda(:\d+)?)$", description="auto, cpu, cuda or cuda:N")]

MemoryGuardRatio = Annotated[
    float, Meta(ge=0, description="stop if memory grows past this multiple of its baseline; 0 is off")
]
MemoryGuardWindow = Annotated[int, Meta(ge=1, description="memory observations that make the baseline, after warm-up")]
Resume = Annotated[bool, Meta(description="go on with the run in --out, or begin one there (default: the newest run)")]

Products = Annotated[
    Literal["float32", "bfloat16", "bf16"],
    Meta(description="precision of large products; bfloat16 (bf16) is of the CPU"),
]
Quantize = Annotated[
    Literal["float32", "bfloat16", "bf16", "int8"],
    Meta(description="matrices for decoding, on the CPU: bfloat16 (bf16) and int8 are faster and less exact"),
]


def spelled_out(config: msgspec.Struct) -> None:
    """For ``__post_init__``: bf16 is bfloat16, by which name it stands in all records."""
    for name in ("dtype", "quantize"):
        if getattr(config, name, None) == "bf16":
            msgspec.structs.force_setattr(config, name, "bfloat16")


class Common(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Flags that every command takes."""

    json: Annotated[bool, Meta(description="print exactly one JSON object on stdout")] = False
    quiet: Annotated[bool, Meta(description="no progress on stderr, only errors")] = False
    debug: Annotated[bool, Meta(description="show the traceback of an error")] = False
    threads: Annotated[Positive | None, Meta(description="threads for BLAS and Numba together (default: the CPUs)")] = (
        None
    )
    kernels: Annotated[
        Literal["auto", "numba", "numpy"] | None,
        Meta(description="on the CPU: numba compiled loops, numpy the references (default: numba where it works)"),
    ] = None
