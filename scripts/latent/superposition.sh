#!/usr/bin/env bash
# The two-layer model of graph questions with thoughts (arXiv 2505.12514), and
# baselines of the same size, from scratch; what they answer, and what thoughts hold.
#   scripts/latent/superposition.sh [FOLDER]   default runs/superposition
# FILE=prosqa_test_graph_4_coconut.json asks a published file as well, and
# WORDS=prosqa_test.json the sentences of one. The thoughts' three
# trainings take 172 million tokens, the baselines' 65 and 51: three
# hours, and two, on a core that does 16,000 a second. Interrupted, the same command goes on.
set -euo pipefail
cd "$(dirname "$0")/../.."
folder=${1:-runs/superposition}
file=${FILE:-}
words=${WORDS:-}
mkdir -p "$folder"
orrery=$folder/orrery
[ -x "$orrery" ] || go build -o "$orrery" ./cmd/orrery
export GOMAXPROCS=${GOMAXPROCS:-1}

# train NAME RECIPE SETTINGS [FROM]
train() {
	local dir=$folder/$1 resume=()
	[ ! -e "$dir/final" ] || return 0
	printf '{"recipe": "%s", "settings": %s}\n' "$2" "$3" >"$dir.json"
	[ ! -e "$dir/config.json" ] || resume=(--resume)
	"$orrery" train "$dir.json" --out "$dir" "${resume[@]}" ${4:+--from "$folder/$4/final"} >"$dir.log" 2>&1 || { tail -n 3 "$dir.log"; exit 1; }
	echo "trained $dir" >&2
}
train thoughts-first superposition '{}'
train thoughts-deep superposition-deep '{}' thoughts-first
train thoughts superposition-prosqa '{}' thoughts-deep
# Baselines have fewer steps; the lines "held out" say whether they were still rising.
train cot-first superposition '{"method": "cot", "graph_ramp": 3000, "train": {"steps": 6000}}'
train cot-deep superposition-deep '{"method": "cot", "train": {"steps": 10000}}' cot-first
train cot superposition-prosqa '{"method": "cot"}' cot-deep
train no-cot-first superposition '{"method": "no-cot", "graph_ramp": 3000, "train": {"steps": 6000}}'
train no-cot-deep superposition-deep '{"method": "no-cot", "train": {"steps": 5000}}' no-cot-first
train no-cot superposition-prosqa '{"method": "no-cot"}' no-cot-deep

ask() { # heading, flags
	echo "## $1"
	shift
	echo
	"$orrery" eval --quiet --models "$folder/thoughts/final,$folder/cot/final,$folder/no-cot/final" "$@"
	echo
	echo "Without being told the number of hops:"
	"$orrery" eval --quiet --task symbols --method coconut --model "$folder/thoughts/final" "$@"
	echo
}
echo "## Held out, by step"
echo
for name in thoughts cot no-cot; do
	sed -n 's/.*"kind":"eval","step":\([0-9]*\),"accuracy":\([0-9.]*\).*/\1 \2/p' "$folder/$name/metrics.jsonl" | awk -v n="$name" '{printf "%s %d: %.1f %%\n", n, $1, 100*$2}' | awk 'NR%5==1'
done
echo
ask "Generated graphs of 3 and 4 hops, random ids" --n 500 --seed 1
[ -z "$file" ] || ask "The published file" --file "$file"

# Questions in sentences, without the number of hops; names get ids in the order in which they appear.
inwords() { # heading, flags
	echo "## $1"
	shift
	echo
	for name in thoughts cot no-cot; do
		"$orrery" eval --quiet --method coconut --model "$folder/$name/final" "$@" |
			awk -F '  +' -v n="$name" 'NR == 1 && n == "thoughts" || NR == 2 { printf "%-8s  %-8s  %-14s  %s\n", NR == 1 ? "model" : n, $3, $4, $5 }'
	done
	echo
}
inwords "ProsQA in words, generated" --task prosqa --n 500 --seed 1
[ -z "$words" ] || inwords "ProsQA in words, the published file" --task prosqa --file "$words"
inwords "ProsQA in words, graphs of 10 slots" --task prosqa-tiny --n 500 --seed 1
inwords "ProsQA in words, graphs of 16 slots" --task prosqa-laptop --n 500 --seed 1

echo "## What the third training changed: symbols, 500 graphs of each level, number of hops not told"
echo
for name in thoughts-deep thoughts; do
	for level in easy standard hard; do
		"$orrery" eval --quiet --task symbols --level "$level" --n 500 --seed 1 --method coconut --model "$folder/$name/final" |
			awk -F '  +' -v n="$name" -v l="$level" 'NR == 2 { printf "%-13s  %-8s  %s  %s\n", n, l, $3, $4 }'
	done
done
echo

echo "## What thoughts hold"
echo
"$orrery" probe "$folder/thoughts/final" --quiet --items 500 --seed 1 --out "$folder/probe.html" | grep -v "^report: "
if [ -n "$file" ]; then
	for ids in own random; do
		echo
		"$orrery" probe "$folder/thoughts/final" --quiet --file "$file" --ids "$ids" --out "$folder/probe-$ids.html" | grep -v "^report: "
	done
fi
