#!/usr/bin/env bash
# What audit and delta say to bad input, as the Markdown table of docs/audit.md:
#   bash scripts/audit/bad.sh
# The base is the built-in model; each input is made wrong in one way.
set -euo pipefail
cd "$(dirname "$0")/../.."
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
go build -o "$dir/orrery" ./cmd/orrery
cd "$dir"
./orrery export --format hf-bf16 --out base >/dev/null
file=base/model.safetensors
size=$(stat -c %s $file)

echo "| input | exit | what is said |"
echo "|---|---|---|"
try() { # what, command
	local what=$1 out code=0
	shift
	out=$("$@" 2>&1 >/dev/null | grep -v '^audit: ' | tail -1) || true
	"$@" >/dev/null 2>&1 || code=$?
	[ -n "$out" ] || out=$("$@" 2>/dev/null | head -1)
	printf '| %s | %d | %s |\n' "$what" "$code" "$(printf '%s' "$out" | sed 's/|/\\|/g; s/^orrery: //')"
}
head -c $((size / 2)) $file >cut.safetensors
try "cut in the middle" ./orrery audit base cut.safetensors
head -c 4 $file >four.safetensors
try "four bytes" ./orrery audit base four.safetensors
echo "only text that stands here" >text.safetensors
try "text" ./orrery audit base text.safetensors
{ printf '\377\377\377\377\377\377\377\177'; tail -c +9 $file; } >absurd.safetensors
try "an absurd header length" ./orrery audit base absurd.safetensors
cat $file >tail.safetensors && echo more >>tail.safetensors
try "bytes after the last tensor" ./orrery audit base tail.safetensors
sed 's/"dtype":"BF16"/"dtype":"BF17"/' $file >dtype.safetensors
try "an unknown type" ./orrery audit base dtype.safetensors
sed 's/"shape":\[593,128\]/"shape":[594,128]/' $file >shape.safetensors
try "a shape that its bytes don't fill" ./orrery audit base shape.safetensors
sed 's/layers\.1\.mlp\.up/layers.0.mlp.up/' $file >twice.safetensors
try "one name twice" ./orrery audit base twice.safetensors
mkdir empty shards paths
try "an empty folder" ./orrery audit base empty
try "no such folder" ./orrery audit base nowhere
echo '{"weight_map": {"model.norm.weight": "model-00001-of-00002.safetensors"}}' >shards/model.safetensors.index.json
try "a shard that is missing" ./orrery audit base shards
echo '{"weight_map": {"model.norm.weight": "../base/model.safetensors"}}' >paths/model.safetensors.index.json
try "a shard outside the folder" ./orrery audit base paths
sed 's/"model\./"modul./g' $file >other.safetensors
try "no name in common" ./orrery audit base other.safetensors
try "the same twice" ./orrery audit base base
try "no tuned checkpoint" ./orrery audit base
try "an unknown metric" ./orrery audit base base --fail-if 'speed>1'
try "a rule that can't be measured" ./orrery audit base base --spectra none --fail-if 'nss>1e-3'
try "too little memory allowed" ./orrery audit base base --max-memory 1K
./orrery delta make $file $file same.update >/dev/null 2>&1
try "delta: the wrong base" ./orrery delta apply other.safetensors same.update out.safetensors
head -c 2000 same.update >cut.update
try "delta: an update cut off" ./orrery delta apply $file cut.update out.safetensors
try "delta: the output is there already" ./orrery delta apply $file same.update $file
[ ! -e out.safetensors ] || { echo "a refused update left output"; exit 1; }
