"""Memory that is freed stays with the process, ready for the next array of its size.

glibc gives large blocks back to the system when they are freed, and a training step frees and asks for the same sizes
again: every page then costs a fault, a third of the time of a step with arrays of a megabyte and more.
"""

import ctypes
import sys

# Parameters of mallopt(3), from malloc.h.
_TRIM_THRESHOLD, _MMAP_MAX = -1, -4


def keep_freed_memory() -> bool:
    """Tell glibc's allocator to keep what is freed.  Returns whether there was one to tell (Linux with glibc)."""
    if sys.platform != "linux":
        return False
    library = ctypes.CDLL(None)
    if not hasattr(library, "mallopt"):
        return False
    return bool(library.mallopt(_MMAP_MAX, 0) and library.mallopt(_TRIM_THRESHOLD, 2**31 - 1))
