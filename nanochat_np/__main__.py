"""``python -m nanochat_np``, and the program ``nanochat-np``."""

import io
import os
import sys


def main() -> int:
    """Run the command line of this process."""
    try:
        from nanochat_np import cli
    except KeyboardInterrupt:  # before the command line can tell it
        print("interrupted", file=sys.stderr)
        return 130
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:  # closed by the caller (2>&-): print would then take stdout for stderr
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a terminal that has no UTF-8 is no reason to fail
    return cli.main(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
