"""The first lines of the child: its limits, then the code.  Passed to Python as text, so it imports nothing of ours."""

import os
import resource
import sys


def start(memory_bytes: int, cpu_seconds: int, file_bytes: int, processes: int) -> None:
    """Run the code that standard input holds, which is empty for the code itself."""
    code = sys.stdin.buffer.read()
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    bounds = {
        "RLIMIT_AS": memory_bytes,
        "RLIMIT_CPU": cpu_seconds,
        "RLIMIT_FSIZE": file_bytes,
        "RLIMIT_NPROC": processes,
        "RLIMIT_NOFILE": 64,
        "RLIMIT_CORE": 0,
    }
    for name, bound in bounds.items():
        limit = getattr(resource, name)
        hard = resource.getrlimit(limit)[1]
        bound = bound if hard == resource.RLIM_INFINITY else min(bound, hard)
        resource.setrlimit(limit, (bound, bound))
    exec(compile(code, "program.py", "exec", dont_inherit=True), {"__name__": "__main__"})


if __name__ == "__main__":
    start(*map(int, sys.argv[1:]))
