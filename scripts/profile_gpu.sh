#!/usr/bin/env bash
# Watch the GPU while a command runs: utilisation, memory, power and clocks many times a second, and a timeline or the
# counters of kernels where NVIDIA's profilers are installed.
#
#   scripts/profile_gpu.sh [--tool auto|smi|nsys|ncu] [--interval MS] [--out FOLDER] [-- COMMAND...]
#
# The command is `python -m nanochat_np bench train --device cuda` unless given; PYTHON names the interpreter. auto takes
# nsys where it is installed and samples alone where it is not. Results go to results/gpu_profile/TIME/: samples.csv,
# summary.txt, run.txt and run.err of the command, timeline.nsys-rep or kernels.ncu-rep. A profiler slows the command:
# figures of speed are for a run with smi. The exit code is the command's; 1 usage, 3 no GPU or no such profiler.
set -euo pipefail
cd "$(dirname "$0")/.."

python=${PYTHON:-python3} tool=auto interval=200 out=""
while [ $# -gt 0 ]; do
    case $1 in
        --tool | --interval | --out)
            [ $# -ge 2 ] || { echo "profile_gpu.sh: $1 needs a value" >&2; exit 1; }
            case $1 in
                --tool) tool=$2 ;;
                --interval) interval=$2 ;;
                --out) out=$2 ;;
            esac
            shift 2
            ;;
        --) shift; break ;;
        *) echo "profile_gpu.sh: unknown argument $1 (see the head of this file)" >&2; exit 1 ;;
    esac
done
case $tool in auto | smi | nsys | ncu) ;; *) echo "profile_gpu.sh: --tool $tool: takes auto, smi, nsys or ncu" >&2; exit 1 ;; esac
case $interval in '' | *[!0-9]*) echo "profile_gpu.sh: --interval $interval: takes milliseconds" >&2; exit 1 ;; esac

missing() { # missing WHAT DO
    echo "profile_gpu.sh: $1: $2" >&2
    exit 3
}
command -v nvidia-smi >/dev/null || missing "no NVIDIA GPU, nvidia-smi is not installed" "see scripts/nvidia_doctor.sh"
nvidia-smi -L | grep -q GPU || missing "nvidia-smi lists no GPU" "see scripts/nvidia_doctor.sh"
case $tool in
    auto)
        tool=smi
        if command -v nsys >/dev/null; then
            tool=nsys
        else
            echo "profile_gpu.sh: nsys is not installed, so there is no timeline, only samples (Nsight Systems has it)" >&2
        fi
        ;;
    nsys) command -v nsys >/dev/null || missing "nsys is not installed" "install Nsight Systems, or use --tool smi" ;;
    ncu) command -v ncu >/dev/null || missing "ncu is not installed" "install Nsight Compute, or use --tool smi" ;;
esac

out=${out:-results/gpu_profile/$(date +%Y%m%d-%H%M%S)}
mkdir -p "$out"
if [ $# -eq 0 ]; then
    set -- "$python" -m nanochat_np bench train --device cuda --steps 20 --out "$out/bench" --json
fi
run=("$@")
case $tool in
    nsys) run=(nsys profile "--trace=cuda,nvtx,cublas,osrt" --force-overwrite=true --output="$out/timeline" "$@") ;;
    ncu) run=(ncu --set basic --launch-count 200 --force-overwrite --export "$out/kernels" "$@") ;;
esac

fields=timestamp,index,utilization.gpu,utilization.memory,memory.used,power.draw,clocks.sm,temperature.gpu
: >"$out/samples.csv"
: >"$out/samples.err"
nvidia-smi --query-gpu=$fields --format=csv,nounits --loop-ms="$interval" >>"$out/samples.csv" 2>>"$out/samples.err" &
sampler=$!
trap 'kill "$sampler" 2>/dev/null || true' EXIT

echo "profile_gpu.sh: ${run[*]}" >&2
code=0
"${run[@]}" >"$out/run.txt" 2>"$out/run.err" || code=$?
kill "$sampler" 2>/dev/null || true
wait "$sampler" 2>/dev/null || true
trap - EXIT

{
    echo "command    $*"
    echo "tool       $tool"
    echo "exit code  $code"
    awk -F', *' '
        NR > 1 && NF >= 6 {
            n[$2]++; use[$2] += $3; memory[$2] = $5 > memory[$2] + 0 ? $5 + 0 : memory[$2]; power[$2] += $6
            if ($3 > most[$2] + 0) most[$2] = $3 + 0
        }
        END {
            for (gpu in n)
                printf "gpu %s      %d samples, utilisation %.0f %% on average and %.0f %% at most, memory up to %.0f MiB, %.0f W on average\n",
                    gpu, n[gpu], use[gpu] / n[gpu], most[gpu], memory[gpu], power[gpu] / n[gpu]
        }' "$out/samples.csv"
    if [ ! -s "$out/samples.csv" ]; then
        echo "samples    none: $(tail -n 1 "$out/samples.err")"
    fi
} | tee "$out/summary.txt"
if [ "$code" -ne 0 ]; then
    echo "profile_gpu.sh: the command failed with exit code $code, the end of $out/run.err:" >&2
    tail -n 5 "$out/run.err" >&2
fi
echo "results: $out"
exit "$code"
