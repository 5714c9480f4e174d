"""How much memory this process holds."""

import psutil


def resident_bytes() -> int:
    """Resident set size of this process in bytes."""
    return int(psutil.Process().memory_info().rss)
