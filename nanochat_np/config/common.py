"""Types of flags, and the flags that every command takes."""

from typing import Annotated

import msgspec
from msgspec import Meta

Count = Annotated[int, Meta(ge=0)]
Positive = Annotated[int, Meta(ge=1)]
Folder = Annotated[str, Meta(min_length=1)]  # an empty one, of a variable that is not set, would be the current folder
DeviceName = Annotated[str, Meta(pattern=r"^(auto|cpu|cuda(:\d+)?)$", description="auto, cpu, cuda or cuda:N")]


class Common(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Flags that every command takes."""

    json: Annotated[bool, Meta(description="print exactly one JSON object on stdout")] = False
    quiet: Annotated[bool, Meta(description="no progress on stderr, only errors")] = False
    debug: Annotated[bool, Meta(description="show the traceback of an error")] = False
    threads: Annotated[Positive | None, Meta(description="threads for BLAS and Numba together (default: the CPUs)")] = (
        None
    )
