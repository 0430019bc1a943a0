#!/usr/bin/env bash
# Measures the built-in model for its card and the README: single traces on all
# tasks and levels, and the methods side by side. Writes docs/results/builtin-*.
#   bash scripts/builtin/measure.sh
set -euo pipefail
cd "$(dirname "$0")/../.."
out=docs/results
orrery=$(mktemp -d)/orrery
trap 'rm -rf "$(dirname "$orrery")"' EXIT
go build -o "$orrery" ./cmd/orrery

for level in easy standard hard; do
	"$orrery" eval --task arithmetic,prosqa,countdown --method single --n 1000 --level $level --seed 1 >"$out/builtin-single-$level.txt"
done
log=runs/builtin-eval.jsonl
mkdir -p runs && rm -f "$log"
compare="eval --task arithmetic,prosqa --method single,majority,deepconf-high,deepconf-low --budget 32 --n 300 --seed 1"
"$orrery" $compare --out "$log" --html $out/builtin-eval.html | tee "$out/builtin-eval.txt"
"$orrery" $compare --out "$log" --json --quiet >"$out/builtin-eval.json"
