#!/usr/bin/env bash
# Updates between checkpoints beside zstd (Debian's): sizes and times on pairs of
# 256 MiB of bfloat16, one moved as reinforcement learning does (2 % of the
# elements), one as supervised fine-tuning does (70 %).
#   bash scripts/bench/delta.sh
# zstd -19 is too slow for the whole: it gets the first 16 MiB, and its size and
# time are scaled to the file's.
set -euo pipefail
cd "$(dirname "$0")/../.."
command -v zstd >/dev/null || apt-get install -y zstd >/dev/null
dir=$(mktemp -d "${TMPDIR:-/tmp}/delta-bench.XXXXXX")
trap 'rm -rf "$dir"' EXIT
go build -o "$dir/orrery" ./cmd/orrery
ORRERY_BENCH_PAIR=$dir go test -count=1 -run TestBenchPair ./look/delta >/dev/null

TIMEFORMAT='%R %U %S'
row() { # name, bytes, "wall user system" seconds, what all of these are scaled by
	awk -v n="$1" -v b="$2" -v t="$3" -v f="${4:-1}" -v all="$full" 'BEGIN{split(t, s, " "); b*=f
		printf "  %-36s %12d bytes %6.2f %% %8.2f s, of processors %8.2f s\n", n, b, 100*b/all, f*s[1], f*(s[2]+s[3])}'
}
timed() { # name, output, scale, command
	local name=$1 out=$2 scale=$3 t
	shift 3
	t=$({ time "$@" >/dev/null 2>&1; } 2>&1)
	row "$name" "$(stat -c %s "$out")" "$t" "$scale"
}

echo "load $(cut -d' ' -f1-3 /proc/loadavg), $(nproc) cores, $(zstd --version | grep -o 'v[0-9.]*')"
base=$dir/base.safetensors
for kind in rl sft; do
	tuned=$dir/$kind.safetensors
	full=$(stat -c %s "$tuned")
	echo "$kind: $full bytes"
	timed "orrery delta make" "$dir/u" 1 "$dir/orrery" delta make -q "$base" "$tuned" "$dir/u"
	timed "orrery delta apply" "$dir/out" 1 "$dir/orrery" delta apply -q "$base" "$dir/u" "$dir/out"
	cmp "$dir/out" "$tuned"
	timed "orrery delta make --plain" "$dir/p" 1 "$dir/orrery" delta make -q --plain "$base" "$tuned" "$dir/p"
	timed "zstd -3 of the plain update" "$dir/p.zst" 1 zstd -q -3 "$dir/p" -o "$dir/p.zst"
	timed "zstd -3 of tuned" "$dir/z" 1 zstd -q -3 "$tuned" -o "$dir/z"
	head -c 16777216 "$tuned" >"$dir/head"
	timed "zstd -19 of tuned, from a sixteenth" "$dir/h" 16 zstd -q -19 "$dir/head" -o "$dir/h"
	timed "zstd -3 of base XOR tuned" "$dir/x" 1 zstd -q -3 "$dir/$kind.xor" -o "$dir/x"
	timed "sha256sum of base and tuned" "$tuned" 1 sha256sum "$base" "$tuned"
	rm -rf "$dir"/{u,out,p,p.zst,z,head,h,x}
done
echo "make and apply in one process, GB of tuned weights a second, beside SHA-256 of both files on all processors:"
go test -run xxx -bench 'Delta|Changes|Counter' -benchtime 3x ./look/delta | grep '^Benchmark'
