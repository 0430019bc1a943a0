#!/usr/bin/env bash
# An epoch of `orrery train grok`, the update included, against the same training
# in NumPy on one core and in PyTorch on two, in turn, on the machine as it is:
#   bash scripts/bench/grok.sh [ROUNDS]
# Installs Debian's python3-numpy and python3-torch if they aren't there. The
# OpenBLAS under both falls back to SSE2 on processors younger than it, so its
# kernels are named. Prints each one's quickest and median epoch in ms, medians
# over the rounds.
set -euo pipefail
cd "$(dirname "$0")/../.."
rounds=${1:-3}
python=/usr/bin/python3
$python -c 'import numpy, torch' 2>/dev/null || apt-get install -y python3-numpy python3-torch >/dev/null
OPENBLAS_CORETYPE=Haswell
grep -qw avx512vl /proc/cpuinfo && OPENBLAS_CORETYPE=SkylakeX
export OPENBLAS_CORETYPE
binary=$(mktemp)
trap 'rm -f "$binary"' EXIT
go test -c -o "$binary" ./look/grok

ours() { # D Q EPOCHS THREADS
	GOMAXPROCS=$4 "$binary" -test.run xxx -test.bench "Epoch$1x$2\$" -test.benchtime "$3x" |
		awk '/min-ms/{for(i=1;i<NF;i++){if($(i+1)=="min-ms")m=$i; if($(i+1)=="median-ms")d=$i} print m, d}'
}
column() { awk -v c="$1" '{print $c}' | sort -n | awk '{v[NR]=$1} END{print v[int((NR+1)/2)]}'; }

echo "load: $(cut -d' ' -f1-3 /proc/loadavg)  cores: $(nproc)  kernels: ${ORRERY_KERNELS:-the best}  $(go version | cut -d' ' -f3-)"
for size in "23 512 400" "71 512 60"; do
	read -r d q epochs <<<"$size"
	for pair in "numpy 1" "torch 1" "torch 2"; do
		read -r rival threads <<<"$pair"
		a=() b=()
		for _ in $(seq "$rounds"); do
			a+=("$(ours "$d" "$q" "$epochs" "$threads")")
			b+=("$($python scripts/bench/grok.py "$rival" "$d" "$q" "$epochs" "$threads")")
		done
		for c in 1 2; do
			x=$(printf '%s\n' "${a[@]}" | column $c) y=$(printf '%s\n' "${b[@]}" | column $c)
			awk -v d="$d" -v q="$q" -v r="$rival" -v t="$threads" -v k="$([ $c = 1 ] && echo quickest || echo median)" -v x="$x" -v y="$y" \
				'BEGIN{printf "d %3d q %d  %d threads  %-8s  orrery %8.3f ms   %-5s %8.3f ms   %5.2f times\n", d, q, t, k, x, r, y, y/x}'
		done
	done
done
