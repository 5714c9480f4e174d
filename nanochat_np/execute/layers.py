"""What can keep a child process apart on this machine."""

import os
import shutil
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path
from typing import Literal

Layer = Literal["bubblewrap", "namespaces", "limits"]

SCRATCH_BYTES = 64 * 2**20  # of the child's own file system, which lies in memory
PROGRAMS = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/etc/ld.so.cache", "/etc/alternatives", "/nix/store")
_DEVICES = ("/dev/null", "/dev/zero", "/dev/urandom")

# A root of its own in memory, with what is to be seen bound into it to be read.  The shell stays as process 1 of its
# world: the code can neither signal nor trace it, and all there is dies with it.
_NEW_ROOT = """
set -e
root=$1 size=$2; shift 2
mount -t tmpfs -o size="$size",mode=755,nosuid none "$root"
while [ "$1" != -- ]; do
    if [ -d "$1" ]; then mkdir -p "$root$1"; else mkdir -p "$root${1%/*}"; : > "$root$1"; fi
    mount --rbind "$1" "$root$1"
    mount -o remount,bind,ro "$root$1"
    shift
done
shift
while read -r _ _ _ _ point _; do
    point=$(printf %b "$point")
    case $point in "$root"/*) mount -o remount,bind,ro "$point";; esac
done < /proc/self/mountinfo
mkdir -m 1777 "$root/tmp"
chroot "$root" "$@"
exit $?
"""
_TO_TMP = ("sh", "-c", 'cd /tmp && exec "$@"', "sh")


def strongest_layer() -> Layer | None:
    """The layer that generated code would run in here; None where there is none."""
    for layer in ("bubblewrap", "namespaces", "limits"):
        if works(layer):
            return layer
    return None


@cache
def works(layer: Layer) -> bool:
    """Whether Python starts in the layer, which a kernel, a container or a missing program may not allow."""
    if sys.platform == "win32":
        return False
    if layer == "limits":
        return True
    if sys.platform != "linux" or (layer == "bubblewrap" and not shutil.which("bwrap")):
        return False
    with tempfile.TemporaryDirectory() as folder:
        command = [*enclosed(layer, Path(folder)), sys.executable, "-I", "-c", "print('here')"]
        try:
            done = subprocess.run(command, env={"PATH": PROGRAMS}, cwd="/", capture_output=True, timeout=10)
        except (OSError, subprocess.TimeoutExpired):
            return False
    return done.stdout == b"here\n"


def enclosed(layer: Layer, folder: Path) -> list[str]:
    """The beginning of a command that runs the rest of it in ``layer``; ``folder`` is an empty one of the child's."""
    match layer:
        case "bubblewrap":
            return _bubblewrap()
        case "namespaces":
            return _namespaces(folder)
    return []


def _bubblewrap() -> list[str]:
    binds = ["--dev", "/dev"]
    for path in _visible(_SYSTEM):
        for parent in [*Path(path).parents][-2::-1]:
            binds += ["--perms", "0755", "--dir", str(parent)]  # bubblewrap's own choice shuts nobody out
        binds += ["--ro-bind", path, path]
    user = ["--cap-add", "CAP_SETUID", "--cap-add", "CAP_SETGID", "--cap-add", "CAP_SETPCAP"]
    user = user if _is_root() else ["--unshare-user"]
    apart = ["--unshare-pid", "--unshare-net", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try"]
    scratch = ["--size", str(SCRATCH_BYTES), "--perms", "1777", "--tmpfs", "/tmp", "--chdir", "/tmp"]
    return [
        shutil.which("bwrap") or "bwrap",
        "--die-with-parent",
        "--cap-drop",
        "ALL",
        *user,
        *apart,
        *binds,
        *scratch,
        "--",
        *_unprivileged(),
    ]


def _namespaces(folder: Path) -> list[str]:
    user = [] if _is_root() else ["--user", "--map-root-user"]
    apart = ["--mount", "--net", "--ipc", "--uts", "--pid", "--fork", "--kill-child"]
    inside = [str(folder), str(SCRATCH_BYTES), *_visible(_SYSTEM + _DEVICES), "--"]
    return ["unshare", *user, *apart, "sh", "-c", _NEW_ROOT, "sh", *inside, *_unprivileged(), *_TO_TMP]


def _visible(paths: tuple[str, ...]) -> list[str]:
    """Those of ``paths`` that there are, and where Python lives."""
    python = (sys.prefix, sys.exec_prefix, sys.base_prefix, sys.base_exec_prefix)
    outside = {path for path in python if not path.startswith("/usr/") and path != "/usr"}
    return [*filter(os.path.exists, paths), *sorted(outside)]


def _unprivileged() -> list[str]:
    """No capabilities, nor a way to get them.  Root becomes nobody: the number of its processes has no bound."""
    nobody = ["--reuid=65534", "--regid=65534", "--clear-groups"] if _is_root() else []
    return ["setpriv", *nobody, "--no-new-privs", "--bounding-set=-all", "--inh-caps=-all"]


def _is_root() -> bool:
    return os.geteuid() == 0
