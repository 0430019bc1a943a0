#!/usr/bin/env bash
# A training step of ours against PyTorch's, in turn, on the machine as it is:
#   bash scripts/bench/step.sh [ROUNDS]
# Installs Debian's python3-torch if it isn't there. OpenBLAS picks its kernels
# by the processor's model number and falls back to SSE2 ones on processors
# that are younger than it, so PyTorch runs twice: as installed, and with the
# kernels named that fit the processor's flags. Compare with the faster.
set -euo pipefail
cd "$(dirname "$0")/../.."
rounds=${1:-3}
python=/usr/bin/python3
$python -c 'import torch' 2>/dev/null || apt-get install -y python3-torch >/dev/null
unset OPENBLAS_CORETYPE
go test -c -o "${TMPDIR:-/tmp}/nn.bench" ./learn/nn
trap 'rm -f "${TMPDIR:-/tmp}/nn.bench"' EXIT

ours() { "${TMPDIR:-/tmp}/nn.bench" -test.run xxx -test.bench "TrainStep/$1\$" -test.benchtime 5x | awk '/ns\/op/{printf "%.1f\n", $3/1e6}'; }
torch() { $python scripts/bench/pytorch_step.py "$@" --steps 5; }
core=Haswell
grep -qw avx512vl /proc/cpuinfo && core=SkylakeX
torch_named() { OPENBLAS_CORETYPE=$core torch "$@"; }
median() { sort -n | awk '{v[NR]=$1} END{print v[int((NR+1)/2)]}'; }

compare() { # name, PyTorch's arguments
	local name=$1 a=() b=() c=()
	shift
	for _ in $(seq "$rounds"); do
		a+=("$(ours "$name")") b+=("$(torch "$@")") c+=("$(torch_named "$@")")
	done
	local x y z
	x=$(printf '%s\n' "${a[@]}" | median) y=$(printf '%s\n' "${b[@]}" | median) z=$(printf '%s\n' "${c[@]}" | median)
	awk -v n="$name" -v c="$core" -v x="$x" -v y="$y" -v z="$z" 'BEGIN{printf "%-8s orrery %8.1f ms   pytorch %8.1f ms (%.2f times)   pytorch, %s named %8.1f ms (%.2f times)\n", n, x, y, y/x, c, z, z/x}'
}
compare d256 --gpt
compare builtin --vocab 593 --d 128 --layers 6 --heads 4 --kv 2 --hd 32 --ffn 384 --batch 32 --seq 128
