#!/usr/bin/env bash
# Leading singular triplets and whole spectra of ours against NumPy and SciPy,
# in turn, on the machine as it is:
#   bash scripts/bench/spectrum.sh [ROUNDS]
# Ours include the error certificate, NumPy's have none. Each number is the least
# of ROUNDS; on a busy machine compare the processor times, of all threads.
# Installs Debian's python3-numpy, python3-scipy and OpenBLAS if they aren't there.
set -euo pipefail
cd "$(dirname "$0")/../.."
rounds=${1:-3}
python=/usr/bin/python3
$python -c 'import numpy, scipy' 2>/dev/null || apt-get install -y python3-numpy python3-scipy libopenblas0-pthread >/dev/null
unset OPENBLAS_CORETYPE
# OpenBLAS picks its kernels by the processor's model number, and slow ones for
# models younger than it; name the ones that fit the flags.
core=Haswell
grep -qw avx512vl /proc/cpuinfo && core=SkylakeX
export OPENBLAS_CORETYPE=$core
binary=$(mktemp)
trap 'rm -f "$binary"' EXIT
go test -c -o "$binary" ./look/spectrum

ours() { "$binary" -test.run xxx -test.bench "$1\$" -test.benchtime 3x | awk '/ns\/op/{for(i=2;i<=NF;i++) if($i=="cpu-ms/op") c=$(i-1); printf "%.0f %.0f\n", $3/1e6, c}'; }
least() { awk 'NR==1{w=$1;c=$2} {if($1<w)w=$1; if($2<c)c=$2} END{print w, c}'; }

compare() { # name, our benchmark, our LAPACK, NumPy's arguments
	local name=$1 bench=$2 lapack=$3 a=() b=()
	shift 3
	for _ in $(seq "$rounds"); do
		a+=("$(ORRERY_LAPACK=$lapack ours "$bench")") b+=("$($python scripts/bench/spectrum.py "$@")")
	done
	echo "$(printf '%s\n' "${a[@]}" | least) $(printf '%s\n' "${b[@]}" | least)" | awk -v n="$name" '{printf "%-44s orrery %6d ms, %6d of processor   numpy %6d ms, %6d of processor   %.2f times, %.2f times\n", n, $1, $2, $3, $4, $3/$1, $4/$2}'
}
echo "load: $(cut -d' ' -f1-3 /proc/loadavg)  cores: $(nproc)"
compare "top 64 of 2048x2048" TopK/2048x2048 "" top 2048 2048 64
compare "top 64 of 4096x1024" TopK/4096x1024 "" top 4096 1024 64
compare "all values of 1024x1024, OpenBLAS, svdvals" Exact/1024x1024 "" values 1024 1024
compare "all values of 1024x1024, gonum, svdvals" Exact/1024x1024 off values 1024 1024
compare "all values of 1024x1024, OpenBLAS, full svd" Exact/1024x1024 "" svd 1024 1024
