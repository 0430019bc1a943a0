#!/bin/bash
# CoGS (arXiv 2410.01779): losses of the networks that are written down, and what
# trained ones consist of, beside the published shares.
#
#   bash scripts/grok/cogs.sh [FOLDER] > docs/results/cogs.txt
#   SCALE=smoke bash scripts/grok/cogs.sh     a minute: d = 11, and d = 23 once
#
# FOLDER (default runs/cogs) keeps every network; what was interrupted goes on, and
# what is finished is only read again.
set -euo pipefail
cd "$(dirname "$0")/../.."
out=${1:-runs/cogs}
mkdir -p "$out"
go build -o "$out/orrery" ./cmd/orrery

# run FOLDER RECIPE FLAGS: without the line that names the report.
run() {
  local dir=$1; shift
  local resume=()
  if [ -e "$dir/config.json" ]; then resume=(--resume); fi
  "$out/orrery" train "$@" --out "$dir" "${resume[@]}" | grep -v '^report: '
}

echo "## Networks that are written down"
echo
for d in 5 7 11 13 23 71; do
  for c in F6 F6i F4 F46-unbiased F46; do
    run "$out/build-$c-$d" cogs-build --d $d --construction $c --quiet
  done
done
run "$out/build-memorise-11" cogs-build --d 11 --construction memorise --quiet

echo
echo "## Networks that are trained"

# table GROUP WIDTH SEEDS RATE
table() {
  echo
  run "$out/$1-lr$4" cogs-table --group "$1" --width "$2" --seeds "$3" --lr "$4"
}
if [ "${SCALE:-full}" = smoke ]; then
  table Z11 128 2 0.01
  table Z23 512 1 0.01
else
  for rate in 0.01 0.002; do table Z23 512 10 $rate; done
  for rate in 0.01 0.002; do table Z71 512 3 $rate; done
fi
