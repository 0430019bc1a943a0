#!/usr/bin/env bash
# Training steps of the two-layer model with four thoughts against PyTorch's, in turn:
#   bash scripts/bench/superposition.sh [ROUNDS]
# in questions a second, each with a graph of its own; and ours with 13 questions to a
# graph, as the recipe trains. Installs Debian's python3-torch if it isn't there. PyTorch
# runs with the kernels named that fit the processor's flags as well (see step.sh).
set -euo pipefail
cd "$(dirname "$0")/../.."
rounds=${1:-3}
python=/usr/bin/python3
$python -c 'import torch' 2>/dev/null || apt-get install -y python3-torch >/dev/null
unset OPENBLAS_CORETYPE
bench=${TMPDIR:-/tmp}/recipe.bench
go test -c -o "$bench" ./learn/recipe
trap 'rm -f "$bench"' EXIT
core=Haswell
grep -qw avx512vl /proc/cpuinfo && core=SkylakeX

ours() { "$bench" -test.run xxx -test.bench "Superposition/extra=$1\$" -test.benchtime "${2}x" | awk '/questions\/s/{for(i=1;i<=NF;i++) if($i=="questions/s") print $(i-1)}'; }
median() { sort -n | awk '{v[NR]=$1} END{print v[int((NR+1)/2)]}'; }
a=() b=() c=() d=()
for _ in $(seq "$rounds"); do
	a+=("$(ours 0 8)") b+=("$($python scripts/bench/superposition.py)")
	c+=("$(OPENBLAS_CORETYPE=$core $python scripts/bench/superposition.py)") d+=("$(ours 12 24)")
done
x=$(printf '%s\n' "${a[@]}" | median) y=$(printf '%s\n' "${b[@]}" | median)
z=$(printf '%s\n' "${c[@]}" | median) w=$(printf '%s\n' "${d[@]}" | median)
awk -v c="$core" -v x="$x" -v y="$y" -v z="$z" -v w="$w" 'BEGIN{
	printf "a graph a question: orrery %.0f questions/s   pytorch %.0f (%.2f times)   pytorch, %s named %.0f (%.2f times)\n", x, y, x/y, c, z, x/z
	printf "13 questions a graph: orrery %.0f questions/s\n", w}'
