#!/usr/bin/env bash
# Audits the pairs that scripts/pairs/make.sh made, and prints what docs/pairs.md
# quotes: the audits, the sizes of the updates, and what the models learnt.
#   bash scripts/pairs/audit.sh [PAIRS_FOLDER] >docs/results/pairs.txt
set -euo pipefail
cd "$(dirname "$0")/../.."
root=$PWD
go build -o "${TMPDIR:-/tmp}/orrery-pairs" ./cmd/orrery
bin=${TMPDIR:-/tmp}/orrery-pairs
trap 'rm -rf "$bin" "$deltas"' EXIT
deltas=$(mktemp -d)
cd "${1:-runs/pairs}"

show() { # what, BASE, TUNED
	printf '\n== %s\n' "$1"
	shift
	[ -d "$2" ] || { echo "$2 is not there: run scripts/pairs/make.sh to its end"; return; }
	"$bin" audit "$@" --quiet
}
show "SFT: base sft/final" base sft/final
show "GRPO: base grpo/final" base grpo/final
show "SFT with GRPO's steps: base sft-small-steps/final" base sft-small-steps/final
show "GRPO stored in float32: base-fp32 grpo/final-fp32" base-fp32 grpo/final-fp32
show "GRPO on bfloat16 weights: base grpo-bf16-weights/final" base grpo-bf16-weights/final
show "GRPO sampled from a rounded copy: base grpo-bf16-sampler/final" base grpo-bf16-sampler/final
printf '\n== overlap of the changes: base sft/final grpo/final\n'
"$bin" audit base sft/final grpo/final --quiet | grep Jaccard

printf '\n== updates as files\n'
for r in sft grpo; do
	"$bin" delta make base $r/final "$deltas/$r" --quiet >/dev/null
	"$bin" delta apply base "$deltas/$r" "$deltas/$r-again" --quiet >/dev/null
	cmp "$deltas/$r-again/model.safetensors" $r/final/model.safetensors
	zstd -q -19 -c $r/final/model.safetensors >"$deltas/$r.zst"
	printf '%-5s dense %9d   zstd -19 of it %9d   orrery delta %9d, applied: the same bytes\n' $r \
		"$(stat -c %s $r/final/model.safetensors)" "$(stat -c %s "$deltas/$r.zst")" "$(stat -c %s "$deltas/$r")"
done

printf '\n== log-probabilities of the trainer and the sampler, whole run\n'
for r in grpo grpo-bf16-sampler; do
	[ -f $r/metrics.jsonl ] || continue
	python3 - $r <<'P'
import json, sys
steps = [m["rl"] for m in map(json.loads, open(sys.argv[1] + "/metrics.jsonl")) if m.get("rl")]
print("%-18s %d steps, bit-equal share: least %.3f, mean %.3f; largest difference %.3g nats" % (
    sys.argv[1], len(steps), min(s["agreement_equal"] for s in steps), sum(s["agreement_equal"] for s in steps) / len(steps), max(s["agreement_max"] for s in steps)))
P
done

printf '\n== what they learnt: single traces at temperature 1, 1,000 problems\n'
for m in base sft/final grpo/final; do
	for l in easy standard hard; do
		printf '%-12s %-9s' $m $l
		"$bin" eval --model $m --task arithmetic --method single --n 1000 --level $l --seed 5 --quiet | tail -1
	done
done
