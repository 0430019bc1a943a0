#!/usr/bin/env bash
# Trains the pairs of models that orrery audit is shown on, all from one base,
# into runs/pairs. Interrupt it and start it again as you like: finished runs are
# not repeated, others go on where they were.
#   bash scripts/pairs/make.sh [BASE_FOLDER] [PAIRS_FOLDER]
# Without a base, or with "builtin", it is the built-in model. About 20 minutes
# on two cores, at most 6 for one run.
set -euo pipefail
cd "$(dirname "$0")/../.."
from=${1:-builtin}
out=${2:-runs/pairs}
bin=$out/orrery
mkdir -p "$out"
go build -o "$bin" ./cmd/orrery

# The base as folders, in both types.
model=()
[ "$from" = builtin ] || model=("$from")
"$bin" export "${model[@]}" --format hf-bf16 --out "$out/base"
"$bin" export "${model[@]}" --format hf --out "$out/base-fp32"

run() { # NAME RECIPE
	local resume=()
	[ -f "$out/$1/config.json" ] && resume=(--resume)
	"$bin" train "$2" --from "$out/base" --out "$out/$1" "${resume[@]}"
}
run sft sft
run grpo grpo
# Controls: fine-tuning with as many and as small steps as grpo; grpo with weights
# that are themselves bfloat16; grpo with responses from a rounded copy.
run sft-small-steps scripts/pairs/sft-small-steps.json
run grpo-bf16-weights scripts/pairs/grpo-bf16-weights.json
run grpo-bf16-sampler scripts/pairs/grpo-bf16-sampler.json

cat <<END

What training did to the weights:
  $bin audit $out/base $out/sft/final
  $bin audit $out/base $out/grpo/final
Is it the small steps?
  $bin audit $out/base $out/sft-small-steps/final
What bfloat16 hides of one run, by storing it, and by training in it:
  $bin audit $out/base-fp32 $out/grpo/final-fp32
  $bin audit $out/base $out/grpo/final
  $bin audit $out/base $out/grpo-bf16-weights/final
Whether they learnt anything:
  $bin eval --model $out/grpo/final --task arithmetic --method single --n 1000
  $bin eval --model $out/base --task arithmetic --method single --n 1000
Curves: report.html in each run's folder.
END
