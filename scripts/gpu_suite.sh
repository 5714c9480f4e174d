#!/usr/bin/env bash
# Everything that needs an NVIDIA GPU, in one call: tests of CuPy against NumPy, benchmarks, training and pretraining.
#
#   scripts/gpu_suite.sh [--wheels FOLDER] [--out FOLDER]
#
# Results go to results/gpu/<date>_<gpu>/: tests.txt, doctor.json, bench/, train/, summary.json. With --wheels nothing is
# downloaded: what pytest and the package need is installed from that folder beside what the machine has (CuPy above all).
# The exit code is that of the first step that failed; later steps run all the same.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1

python=${PYTHON:-python3} wheels="" out=""
while [ $# -gt 0 ]; do
    case $1 in
        --wheels) wheels=$2; shift 2 ;;
        --out) out=$2; shift 2 ;;
        *) echo "gpu_suite.sh: unknown argument $1 (see the head of this file)" >&2; exit 1 ;;
    esac
done

site=$(mktemp -d)
trap 'rm -rf "$site"' EXIT
if [ -n "$wheels" ]; then
    "$python" -m pip install -q --no-index --no-deps --no-compile --no-cache-dir --target "$site" "$wheels"/*.whl || exit 1
fi
export PYTHONPATH="$PWD:$site${PYTHONPATH:+:$PYTHONPATH}"

gpu=$(nvidia-smi --query-gpu=name --format=csv,noheader 2>/dev/null | head -1 | tr ' /' '--')
out=${out:-results/gpu/$(date +%Y-%m-%d)_${gpu:-unknown}}
mkdir -p "$out"
nvidia-smi >"$out/nvidia-smi.txt" 2>&1

status=0
step() { # step NAME COMMAND...: run it, keep what it prints, remember the first failure
    local name=$1 code
    shift
    echo "== $name: $*"
    "$@" >"$out/$name.txt" 2>"$out/$name.err"
    code=$?
    tail -3 "$out/$name.txt"
    if [ $code -ne 0 ]; then
        echo "   failed with exit code $code, see $out/$name.err" >&2
        tail -5 "$out/$name.err" >&2
        [ $status -ne 0 ] || status=$code
    fi
}

step doctor "$python" -m nanochat_np doctor --json
step tests "$python" -m pytest -o addopts= -m gpu -q -p no:cacheprovider tests/gpu
step bench "$python" -m nanochat_np bench lab --device cuda --out "$out/bench" --json
step train "$python" -m nanochat_np train --device cuda --data stories --steps 2000 --out "$out/train" --json
step train_large "$python" -m nanochat_np train --device cuda --data stories --n-layer 4 --n-embd 256 --n-head 8 \
    --block-size 256 --batch-size 64 --steps 500 --out "$out/train_large" --json
step sample "$python" -m nanochat_np sample --device cuda --checkpoint "$out/train_large" --json
step bench_train "$python" -m nanochat_np bench train --device cuda --n-layer 12 --n-head 6 --n-embd 768 \
    --max-seq-len 1024 --batch-size 16 --vocab-size 32768 --steps 10 --out "$out/bench_train" --json
step pretrain "$python" -m nanochat_np pretrain --device cuda --depth 4 --num-iterations 200 --out "$out/pretrain" --json
step pretrain_resume "$python" -m nanochat_np pretrain --resume --out "$out/pretrain" --num-iterations 220 --json
step sft "$python" -m nanochat_np sft --device cuda --base "$out/pretrain" --num-iterations 100 --out "$out/sft" --json
step rl "$python" -m nanochat_np rl --device cuda --base "$out/sft" --num-iterations 2 --examples-per-step 4 \
    --num-samples 4 --max-new-tokens 32 --eval-examples 8 --out "$out/rl" --json
step eval "$python" -m nanochat_np eval --device cuda --checkpoint "$out/pretrain,$out/sft" --benchmarks generated,bpb \
    --data stdlib --max-problems 20 --out "$out/eval" --json
step infer "$python" -m nanochat_np infer "How many r are in strawberry?" --device cuda --checkpoint "$out/sft" --json
step bench_infer "$python" -m nanochat_np bench infer --device cuda --n-layer 12 --n-head 6 --n-embd 768 \
    --max-seq-len 1024 --vocab-size 32768 --prompt-tokens 512 --out "$out/bench_infer" --json
echo "results: $out"
exit $status
