#!/bin/bash
# Li2 (arXiv 2509.21519) at laptop scale: decay or none (its fig. 3), learning rates
# with scarce data (fig. 6), Muon against Adam (fig. 8), output from zero (figs. 14-16).
#
#   bash scripts/grok/li2.sh [FOLDER] > docs/results/li2.txt
#   SCALE=smoke bash scripts/grok/li2.sh     under a minute: Z11, one seed
#
# FOLDER (default runs/li2) keeps every run with its report; what was interrupted goes
# on, and what is finished is only read again; NAME.html there lays the runs of a table
# over each other. Needs python3 for the tables.
set -euo pipefail
cd "$(dirname "$0")/../.."
scale=${SCALE:-full}
out=${1:-runs/li2-$scale}
mkdir -p "$out"
go build -o "$out/orrery" ./cmd/orrery

if [ "$scale" = smoke ]; then seeds="1"; else seeds="1 2 3"; fi

# setting LABEL RECIPE FLAGS: a row of the table, over the seeds.
rows=()
setting() {
  local label=$1 seed dir resume; shift
  local files=()
  for seed in $seeds; do
    dir="$out/$table/${label//[^A-Za-z0-9.]/_}-$seed"
    resume=()
    if [ -e "$dir/config.json" ]; then resume=(--resume); fi
    mkdir -p "$(dirname "$dir")"
    "$out/orrery" train "$@" --seed "$seed" --out "$dir" --quiet --json "${resume[@]}" > "$dir.json.part"
    mv "$dir.json.part" "$dir.json"
    files+=("$dir.json")
  done
  rows+=("$label" "${files[@]}" --)
}

# table NAME TITLE; end prints it.
table() { table=$1; rows=(); printf '\n## %s\n\n' "$2"; }
end() {
  "$out/orrery" overlay "$out/$table" --out "$out/$table.html" >/dev/null
  python3 - "${rows[@]}" <<'PY'
import json, statistics, sys

rows, row = [], []
for a in sys.argv[1:]:
    if a == "--":
        rows.append(row); row = []
    else:
        row.append(a)

def middle(values, form):
    known = [v for v in values if v is not None]
    if not known:
        return "-"
    text = form % statistics.median(known)
    return text if len(known) == len(values) else f"{text} ({len(known)} of {len(values)})"

head = ["setting", "seeds", "generalise", "test acc.", "test loss", "fits at", "gen. at", "coverage", "purity", "c max", "c end", "|G_F| end", "verdict agrees"]
body = []
for label, *files in rows:
    runs = [json.load(open(f)) for f in files]
    li = [r["li2"] for r in runs]
    decided = [(l["verdict"] == "generalising") == (r["test"]["accuracy"] >= 0.95) for r, l in zip(runs, li) if "undecided" not in l["verdict"]]
    body.append([label, str(len(runs)), str(sum(r["test"]["accuracy"] >= 0.95 for r in runs)),
        middle([100 * r["test"]["accuracy"] for r in runs], "%.1f %%"), middle([r["test"]["loss"] for r in runs], "%.3g"),
        middle([r["fits_epoch"] for r in runs], "%.0f"), middle([r["generalises_epoch"] for r in runs], "%.0f"),
        middle([100 * l["coverage"] for l in li], "%.0f %%"), middle([l["purity"] for l in li], "%.2f"),
        middle([l["alignment_max"] for l in li], "%.2f"), middle([l["alignment"] for l in li], "%.2f"), middle([l["g_norm"] for l in li], "%.2g"),
        f"{sum(decided)} of {len(decided)} decided"])
width = [max(len(r[i]) for r in [head] + body) for i in range(len(head))]
for r in [head] + body:
    print("  ".join(c.ljust(w) for c, w in zip(r, width)).rstrip())
PY
}

echo "# Li2 at laptop scale: medians over seeds; an epoch's count in brackets says how many runs got there"

table f3 "Decay or none (fig. 3): with as many nodes as pairs, no decay means no grokking"
if [ "$scale" = smoke ]; then
  g=(--group Z11 --train 0.7 --epochs 1500)
  setting "K > n, decay 2e-4" li2-f3 "${g[@]}" --width 128 --decay 2e-4
  setting "K > n, no decay" li2-f3 "${g[@]}" --width 128 --decay 0
else
  setting "Z41 K 768 n 672, decay 2e-4" li2-f3
  setting "Z41 K 768 n 672, no decay" li2-f3 --decay 0
  setting "Z41 K 256 n 672, decay 2e-4" li2-f3 --width 256
  setting "Z41 K 256 n 672, no decay" li2-f3 --width 256 --decay 0
fi
end

table f6 "Learning rates (fig. 6): small ones survive scarcer data"
if [ "$scale" = smoke ]; then
  for lr in 0.002 0.01; do setting "p 0.70, lr $lr" li2-f5 --group Z11 --width 64 --train 0.7 --epochs 1500 --lr $lr; done
else
  for p in 0.35 0.40 0.45 0.50; do
    for lr in 0.001 0.002 0.005 0.01; do setting "Z23 p $p, lr $lr" li2-f6 --group Z23 --width 256 --train $p --epochs 10000 --lr $lr; done
  done
fi
end

table f8 "Muon against Adam with few nodes (fig. 8)"
if [ "$scale" = smoke ]; then
  for o in adam muon; do setting "K 32, $o" li2-f8 --group Z11 --width 32 --train 0.8 --epochs 1000 --optimizer $o; done
else
  for k in 71 142 256; do
    setting "Z71 K $k, adam lr 0.005" li2-f8 --width $k --optimizer adam
    for lr in 0.005 0.02; do setting "Z71 K $k, muon lr $lr" li2-f8 --width $k --lr $lr; done
  done
fi
end

table f14 "Output from zero (figs. 14-16): features come earlier"
if [ "$scale" = smoke ]; then
  for v in 0 1; do setting "vinit $v" li2-f14 --group Z11 --width 64 --vinit $v --epochs 800; done
else
  for v in 0 0.1 1; do setting "Z41 K 512, vinit $v" li2-f14 --width 512 --vinit $v --epochs 1500; done
  for v in 0 1; do setting "Z41 K 512 p 0.4 decay 2e-4, vinit $v" li2-f3 --width 512 --vinit $v; done
fi
end
