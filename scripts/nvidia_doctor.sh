#!/usr/bin/env bash
# What of an NVIDIA GPU can be used here, a line a check, and what to do about what is missing.
#
#   scripts/nvidia_doctor.sh [--no-require-gpu]
#
# PYTHON names the interpreter (default: python3). Nothing is installed or changed. Exit codes: 0 all is well (with
# --no-require-gpu: also where there is no GPU), 1 usage, 3 something has to be done.
set -euo pipefail
cd "$(dirname "$0")/.."

python=${PYTHON:-python3} required=yes
while [ $# -gt 0 ]; do
    case $1 in
        --no-require-gpu) required=no; shift ;;
        --require-gpu) required=yes; shift ;;
        *) echo "nvidia_doctor.sh: unknown argument $1 (see the head of this file)" >&2; exit 1 ;;
    esac
done

failures=0
ok() { printf 'ok    %-12s %s\n' "$1" "$2"; }
note() { printf 'note  %-12s %s\n' "$1" "$2"; }
fix() { # fix CHECK WHAT DO: something to be done
    printf 'FIX   %-12s %s: %s\n' "$1" "$2" "$3"
    failures=$((failures + 1))
}

finish() {
    if [ "$failures" -eq 0 ]; then
        echo "nvidia_doctor: all is well"
    elif [ "$required" = no ]; then
        echo "nvidia_doctor: $failures to do before a GPU can be used; the CPU needs none of it"
    else
        echo "nvidia_doctor: $failures to do"
        exit 3
    fi
    exit 0
}

ok system "$(uname -srm)"

# The driver: its kernel module, its files, its own tool.
if [ -r /proc/driver/nvidia/version ]; then
    ok module "$(head -n 1 /proc/driver/nvidia/version)"
else
    note module "no /proc/driver/nvidia/version (in some containers and under WSL that is as it should be)"
fi
if ! command -v nvidia-smi >/dev/null; then
    fix driver "nvidia-smi is not installed" "install the NVIDIA driver, or start the container with --gpus all"
    finish
fi
# CUDA's version is in the table that nvidia-smi prints; it is not a field that it can be asked for.
if ! table=$(nvidia-smi 2>&1); then
    fix driver "nvidia-smi fails (${table%%$'\n'*})" "reload or reinstall the driver, then restart the machine"
    finish
fi
fields=name,driver_version,memory.total,memory.used
if ! gpus=$(nvidia-smi --query-gpu="$fields" --format=csv,noheader 2>&1) || [ -z "$gpus" ]; then
    fix gpu "nvidia-smi lists no GPU (${gpus%%$'\n'*})" "see that the GPU is plugged in and given to this container"
    finish
fi
while IFS= read -r line; do ok gpu "$line"; done <<<"$gpus"
cuda=$(sed -n 's/.*CUDA Version: *\([0-9][0-9.]*\).*/\1/p' <<<"$table" | head -n 1)
if [ -n "$cuda" ]; then
    ok CUDA "the driver runs programs up to CUDA $cuda"
else
    note CUDA "nvidia-smi does not say which CUDA the driver runs"
fi

# Permissions.
for node in /dev/nvidiactl /dev/nvidia-uvm /dev/nvidia0; do
    if [ -e "$node" ] && ! { [ -r "$node" ] && [ -w "$node" ]; }; then
        fix permissions "$node cannot be opened by $(id -un)" "add the user to the group of it: $(stat -c %G "$node")"
    fi
done
if grep -qs 'RmProfilingAdminOnly: 1' /proc/driver/nvidia/params; then
    note profiling "ncu needs root, or the module option NVreg_RestrictProfilingToAdminUsers=0; nsys does not"
fi

# Python and CuPy's wheel.
if ! command -v "$python" >/dev/null; then
    fix python "$python is not installed" "set PYTHON to an interpreter"
    finish
fi
ok python "$("$python" -c 'import platform, sys; print(platform.python_version(), sys.executable)')"
if ! version=$("$python" -c 'import nanochat_np; print(nanochat_np.__version__)' 2>&1); then
    fix package "nanochat_np does not import (${version##*$'\n'})" "$python -m pip install -e ."
    finish
fi
ok package "nanochat_np $version"
wheels=$("$python" -c '
from nanochat_np.commands.doctor_gpu import cupy_wheels
print(" ".join(f"{name}=={version}" for name, version in cupy_wheels().items()))')
extra=cuda12
case $cuda in 1[3-9]*) extra=cuda13 ;; esac
case $wheels in
    '') fix CuPy "is not installed" "$python -m pip install 'nanochat-np[$extra]'"; finish ;;
    *' '*)
        names=$(tr ' ' '\n' <<<"$wheels" | sed 's/==.*//' | tr '\n' ' ')
        fix CuPy "$wheels overwrite each other's files" "pip uninstall -y $names&& pip install 'nanochat-np[$extra]'"
        finish
        ;;
    cupy-cuda13x*)
        if [ $extra = cuda13 ]; then ok CuPy "$wheels"; else
            fix CuPy "$wheels is too new for CUDA $cuda" "pip uninstall -y cupy-cuda13x && pip install 'nanochat-np[cuda12]'"
            finish
        fi
        ;;
    *) ok CuPy "$wheels" ;;
esac

# What CuPy can do, each step in the same words: the check, then what to do.
try() { # try CHECK DO CODE
    local told
    if told=$("$python" -c "$3" 2>&1); then
        ok "$1" "$told"
    else
        fix "$1" "${told##*$'\n'}" "$2"
        return 1
    fi
}
try devices "see that driver and wheel fit, and CUDA_VISIBLE_DEVICES" '
import cupy
print(cupy.cuda.runtime.getDeviceCount(), "seen by CuPy, runtime", cupy.cuda.runtime.runtimeGetVersion())' || finish
try NVRTC "$python -m pip install nvidia-cuda-nvrtc-cu${extra#cuda}" '
import cupy
kernel = cupy.RawKernel("extern \"C\" __global__ void f(float* x) { x[threadIdx.x] += 1; }", "f")
x = cupy.zeros(32, "f"); kernel((1,), (32,), (x,)); assert float(x.sum()) == 32
print("compiles and runs a kernel")' || true
try headers "$python -m pip install nvidia-cuda-runtime-cu${extra#cuda}, or set CUDA_PATH to a toolkit" '
import cupy
source = "#include <cuda_bf16.h>\nextern \"C\" __global__ void f(float* x) { x[0] = float(__nv_bfloat16(2.0f)); }"
x = cupy.zeros(1, "f"); cupy.RawKernel(source, "f")((1,), (1,), (x,)); assert float(x[0]) == 2
print("cuda_bf16.h is found")' || true
try cuBLAS "$python -m pip install nvidia-cublas-cu${extra#cuda}" '
import cupy
x = cupy.ones((64, 64), "f"); assert float((x @ x).sum()) == 64**3
print("multiplies matrices")' || true
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
if told=$("$python" -m nanochat_np train --device cuda --data stories:4000 --steps 2 --eval-every 0 --sample-tokens 0 \
    --out "$out/run" --quiet 2>&1 >/dev/null); then
    ok training "two steps on the GPU"
else
    fix training "${told##*$'\n'}" "$python -m nanochat_np train --device cuda --debug shows more"
fi
finish
