#!/usr/bin/env bash
# A sweep's throughput with one and with two workers, in turn, beside what the
# machine allows: two independent processes of one worker at a time.
#   bash scripts/bench/sweep.sh [ROUNDS]
# The trials are Li2's on Z23 (60 % of the pairs, 256 nodes, 2,500 epochs), 8 seeds;
# SCALE=smoke makes them short. Prints trials an hour of each round, and fails if
# results.jsonl is not the same bytes every time.
set -euo pipefail
cd "$(dirname "$0")/../.."
rounds=${1:-2}
epochs=2500
[ "${SCALE:-full}" = smoke ] && epochs=60
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
go build -o "$tmp/orrery" ./cmd/orrery

cat >"$tmp/bench.json" <<JSON
{"recipe": "li2-f5", "settings": {"group": "Z23", "width": 256, "train": 0.6, "epochs": $epochs, "extend": 0},
 "vary": [{"setting": "seed", "values": [1, 2, 3, 4, 5, 6, 7, 8]}]}
JSON

# sweep FOLDER WORKERS: trials an hour.
sweep() {
	"$tmp/orrery" sweep "$tmp/bench.json" --out "$tmp/$1" --workers "$2" --quiet --json >"$tmp/$1.json"
	sed -n 's/.*"trials_per_hour": *\([0-9.e+]*\).*/\1/p' "$tmp/$1.json"
}
seconds() { date +%s.%N; }

echo "load: $(cut -d' ' -f1-3 /proc/loadavg)  cores: $(nproc)  $(go version | cut -d' ' -f3-)"
for r in $(seq "$rounds"); do
	one=$(sweep "one-$r" 1)
	two=$(sweep "two-$r" 2)
	start=$(seconds)
	sweep "left-$r" 1 >/dev/null & left=$!
	sweep "right-$r" 1 >/dev/null & right=$!
	wait "$left"
	wait "$right"
	awk -v r="$r" -v one="$one" -v two="$two" -v s="$start" -v e="$(seconds)" 'BEGIN{
		both = 16 * 3600 / (e - s)
		printf "round %d: %.0f trials an hour with one worker, %.0f with two (%.2f times); two processes of one worker: %.0f (%.2f times)\n", r, one, two, two/one, both, both/one}'
done
sums=$(cd "$tmp" && sha256sum ./*/results.jsonl | cut -d' ' -f1 | sort | uniq -c)
echo "sha256 of results.jsonl, count of sweeps: $(echo "$sums" | awk '{print $2 ", " $1}')"
[ "$(echo "$sums" | wc -l)" = 1 ] || { echo "the sweeps' results differ" >&2; exit 1; }
