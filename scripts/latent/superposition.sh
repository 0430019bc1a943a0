#!/usr/bin/env bash
# The two-layer model of graph questions with thoughts (arXiv 2505.12514), and
# baselines of the same size, from scratch; what they answer, and what thoughts hold.
#   scripts/latent/superposition.sh [FOLDER]   default runs/superposition
# FILE=prosqa_test_graph_4_coconut.json asks a published file as well. The first model
# takes 67 million tokens, each baseline 16: about an hour and a quarter on a core that does
# 20,000 a second. Interrupted, the same command goes on.
set -euo pipefail
cd "$(dirname "$0")/../.."
folder=${1:-runs/superposition}
file=${FILE:-}
mkdir -p "$folder"
orrery=$folder/orrery
[ -x "$orrery" ] || go build -o "$orrery" ./cmd/orrery
export GOMAXPROCS=${GOMAXPROCS:-1}

# train NAME SETTINGS
train() {
	local dir=$folder/$1 resume=()
	[ ! -e "$dir/final" ] || return 0
	printf '{"recipe": "superposition", "settings": %s}\n' "$2" >"$dir.json"
	[ ! -e "$dir/config.json" ] || resume=(--resume)
	"$orrery" train "$dir.json" --out "$dir" "${resume[@]}" >"$dir.log" 2>&1 || { tail -n 3 "$dir.log"; exit 1; }
	echo "trained $dir" >&2
}
train thoughts '{}'
# Baselines have fewer steps: what they reach is not what they could.
train no-cot '{"method": "no-cot", "graph_ramp": 3000, "train": {"steps": 6000}}'
train cot '{"method": "cot", "graph_ramp": 3000, "train": {"steps": 6000}}'

ask() { # heading, flags
	echo "## $1"
	shift
	echo
	"$orrery" eval --quiet --task symbols --method coconut --model "$folder/thoughts/final" --thoughts 0,1,2,3,4,5,6 "$@"
	"$orrery" eval --quiet --task symbols --method coconut --model "$folder/thoughts/final" "$@"
	for baseline in no-cot cot; do
		echo "$baseline:"
		"$orrery" eval --quiet --task symbols --method single --temperature 0 --model "$folder/$baseline/final" "$@"
	done
	echo
}
ask "Generated graphs of 3 and 4 hops, random ids" --n 500 --seed 1
[ -z "$file" ] || ask "The published file" --file "$file"

echo "## What thoughts hold"
echo
"$orrery" probe "$folder/thoughts/final" --quiet --items 500 --seed 1 --out "$folder/probe.html" | grep -v "^report: "
if [ -n "$file" ]; then
	for ids in own random; do
		echo
		"$orrery" probe "$folder/thoughts/final" --quiet --file "$file" --ids "$ids" --out "$folder/probe-$ids.html" | grep -v "^report: "
	done
fi
