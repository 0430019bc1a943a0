#!/usr/bin/env bash
# Controls of reasoning by superposition, each a small model trained from scratch on
# graphs of 10 nodes with 2 or 3 hops: thoughts, pauses in their place, no
# curriculum, sorted node ids; and thoughts that learn all next nodes instead of one on a
# path. Baselines that write are in superposition.sh, at full size.
#   scripts/latent/controls.sh [FOLDER]   default runs/superposition-controls
# ROWS="thoughts pause" trains some of them alone.
# Five trainings of 7 million tokens, about six minutes each on a core that does 20,000
# a second. Interrupted, the same command goes on.
set -euo pipefail
cd "$(dirname "$0")/../.."
folder=${1:-runs/superposition-controls}
mkdir -p "$folder"
orrery=${ORRERY:-$folder/orrery}
[ -x "$orrery" ] || go build -o "$orrery" ./cmd/orrery
export GOMAXPROCS=${GOMAXPROCS:-1}
base='"first_stage": 2500, "stage_steps": 800, "graph_ramp": 1500, "train": {"steps": 6000, "snapshot_every": 250}'

row() { # name, settings
	local dir=$folder/$1 resume=()
	[ ! -e "$dir/final" ] || return 0
	printf '{"recipe": "superposition-small", "settings": {%s%s}}\n' "$base" "${2:+, $2}" >"$dir.json"
	[ ! -e "$dir/config.json" ] || resume=(--resume)
	"$orrery" train "$dir.json" --out "$dir" "${resume[@]}" >"$dir.log" 2>&1 || { tail -n 3 "$dir.log"; exit 1; }
	echo "trained $dir" >&2
}
rows=(${ROWS:-thoughts pause no-curriculum next-nodes sorted})
declare -A settings=([thoughts]='' [pause]='"method": "pause"' [no-curriculum]='"use_curriculum": false'
	[next-nodes]='"targets": "bfs"' [sorted]='"sorted_ids": true')
for name in "${rows[@]}"; do row "$name" "${settings[$name]}"; done

"$orrery" eval --quiet --level easy --models "$(printf "$folder/%s/final," "${rows[@]}" | sed 's/,$//')" --html "$folder/controls.html"
if [ -e "$folder/sorted/final" ]; then
	echo
	echo "## Graphs with sorted ids"
	"$orrery" eval --quiet --level easy --ids sorted --models "$folder/thoughts/final,$folder/sorted/final" | sed '/^Graph questions/,$d'
fi
for name in thoughts next-nodes; do
	[ -e "$folder/$name/final" ] || continue
	echo
	echo "## How index matching came about: $name"
	"$orrery" probe "$folder/$name/final" --quiet --level easy --items 200 --along "$folder/$name/snapshots" --out "$folder/$name.html" | sed -n '/^The same at every snapshot/,$p'
done
