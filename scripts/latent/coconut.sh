#!/usr/bin/env bash
# Coconut and its baselines and controls from scratch at laptop scale, and the
# table beside the published one.
#   scripts/latent/coconut.sh [FOLDER]   default runs/coconut
# SEEDS="1 2" are the seeds. Each seed trains a CoT model from nothing, which
# stands where the paper has a pre-trained GPT-2, and every row from that, for STEPS=600
# steps, with EXTRA=0 further queries about each graph, and compares checkpoints each EVERY=75
# steps. METHODS="cot coconut …" are the rows. Two seeds are 24 million tokens of the
# rows and 8 of the first models: 35 minutes on a core that does 15,000 a second.
# Interrupted, the same command goes on.
set -euo pipefail
cd "$(dirname "$0")/../.."
folder=${1:-runs/coconut}
seeds=${SEEDS:-1 2}
steps=${STEPS:-600}
extra=${EXTRA:-0}
every=${EVERY:-75}
methods=${METHODS:-cot coconut pause-as-thought no-thought no-cot pause coconut-no-curriculum icot}
mkdir -p "$folder"
orrery=$folder/orrery
[ -x "$orrery" ] || go build -o "$orrery" ./cmd/orrery
export GOMAXPROCS=${GOMAXPROCS:-1}

# train NAME SETTINGS [--from MODEL]
train() {
	local dir=$folder/$1 settings=$2 resume=()
	shift 2
	[ ! -e "$dir/final" ] || return 0
	mkdir -p "$dir"
	printf '{"recipe": "coconut-small", "settings": %s}\n' "$settings" >"$dir.json"
	[ ! -e "$dir/config.json" ] || resume=(--resume)
	"$orrery" train "$dir.json" --out "$dir" "${resume[@]}" "$@" >"$dir.log" 2>&1 || { tail -n 3 "$dir.log"; exit 1; }
	echo "trained $dir" >&2
}

models=()
for seed in $seeds; do
	train "cot-first-$seed" '{"method": "cot", "train": {"seed": '"$seed"', "checkpoint_every": 200}}'
	for method in $methods; do
		train "$method-$seed" '{"method": "'"$method"'", "first_stage": 1, "epochs_per_stage": '$((steps / 200))', "extra_queries": '"$extra"',
			"train": {"seed": '$((100 + seed))', "steps": '"$steps"', "checkpoint_every": 200, "eval": {"every": '"$every"'}}}' --from "$folder/cot-first-$seed/final"
		models+=("$folder/$method-$seed/final")
	done
done
"$orrery" eval --models "$(IFS=,; echo "${models[*]}")" --html "$folder/table.html" | tee "$folder/table.txt"

# A model that has seen every number of thoughts in its last stage still writes steps: what
# it would go on from after each.
first=${seeds%% *}
train mix-$first '{"method": "coconut", "first_stage": 1, "epochs_per_stage": 6, "mix": 0.5,
	"train": {"seed": '$((100 + first))', "steps": 1200, "checkpoint_every": 200}}' --from "$folder/cot-first-$first/final"
"$orrery" probe "$folder/mix-$first/final" --quiet --items 300 --out "$folder/tree.html" | tee "$folder/tree.txt"
