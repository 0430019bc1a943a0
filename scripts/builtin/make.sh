#!/usr/bin/env bash
# Makes the built-in model from scratch, as the repository's was made, and puts
# it where the program embeds it from. Resumes if it was interrupted.
#   bash scripts/builtin/make.sh [RUN_FOLDER]
set -euo pipefail
cd "$(dirname "$0")/../.."
run=${1:-runs/builtin}
resume=()
[ -f "$run/config.json" ] && resume=(--resume)
go run ./cmd/orrery train builtin --out "$run" "${resume[@]}"
for f in config.json model.safetensors tokenizer.json tokenizer_config.json; do
	cp "$run/final/$f" internal/local/builtin/
done
# Every tenth step and all evaluations are enough to draw the curves from.
grep -E '"kind":"eval"|"step":[0-9]*0,' "$run/metrics.jsonl" >docs/results/builtin-metrics.jsonl
