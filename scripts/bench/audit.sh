#!/usr/bin/env bash
# The whole audit against a NumPy and SciPy script of the same metrics, in one
# run on the machine as it is:
#   MEGABYTES=1024 bash scripts/bench/audit.sh
# MEGABYTES is the pair's size. Wall and processor seconds, peak memory, and how far the
# numbers of the two are apart. On a busy machine compare the processor seconds.
# The pair's spectra have a flat tail: singular values and angles near it, srank and principal masks
# differ by what the randomised method's certificate allows (`separated` is false, rho is
# large, angles have bounds of 90°), while NumPy's iteration runs to the end.
set -euo pipefail
cd "$(dirname "$0")/../.."
python=/usr/bin/python3
$python -c 'import numpy, scipy' 2>/dev/null || apt-get install -y python3-numpy python3-scipy libopenblas0-pthread >/dev/null
unset OPENBLAS_CORETYPE
# OpenBLAS picks slow kernels for processors younger than it: name those that fit.
core=Haswell
grep -qw avx512vl /proc/cpuinfo && core=SkylakeX
export OPENBLAS_CORETYPE=$core
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
go build -o "$dir/orrery" ./cmd/orrery
$python scripts/bench/audit_numpy.py make "$dir" "${MEGABYTES:-1024}"
cat "$dir"/*.safetensors >/dev/null
echo "load: $(cut -d' ' -f1-3 /proc/loadavg)  cores: $(nproc)  pair: $(du -cm "$dir"/*.safetensors | tail -1 | cut -f1) MB"

cat >"$dir/time.py" <<'PY'
import resource, subprocess, sys, time
out = open(sys.argv[1], "w")
t = time.perf_counter()
subprocess.run(sys.argv[2:], stdout=out, check=True)
wall, r = time.perf_counter() - t, resource.getrusage(resource.RUSAGE_CHILDREN)
print(f"{wall:.2f} {r.ru_utime + r.ru_stime:.2f} {r.ru_maxrss // 1024}")
PY
ours=$($python "$dir/time.py" "$dir/ours.json" "$dir/orrery" audit "$dir/base.safetensors" "$dir/tuned.safetensors" --k 16 --mask-k 64 --json --quiet)
theirs=$($python scripts/bench/audit_numpy.py measure "$dir" 2>&1 >"$dir/theirs.json")
echo "$ours $theirs" | awk '{printf "orrery %8.2f s, %8.2f of processor, %5d MB\nnumpy  %8.2f s, %8.2f of processor, %5d MB\nratio  %8.2f, %10.2f, %18.2f\n", $1, $2, $3, $4, $5, $6, $4/$1, $5/$2, $6/$3}'
plain=$($python "$dir/time.py" /dev/null "$dir/orrery" audit "$dir/base.safetensors" "$dir/tuned.safetensors" --spectra none --json --quiet)
echo "$plain" | awk '{printf "orrery --spectra none %.2f s, %.2f of processor, %d MB\n", $1, $2, $3}'
$python - "$dir" <<'PY'
import json, sys
ours = {t["name"]: t for t in json.load(open(sys.argv[1] + "/ours.json"))["tensors"]}
worst = {}
def near(key, a, b):
    worst[key] = max(worst.get(key, 0), abs(a - b) / max(abs(b), 1e-300))
for t in json.load(open(sys.argv[1] + "/theirs.json")):
    o = ours[t["name"]]
    for k in ("sparsity_bf16", "sparsity_abs1e5", "sparsity_exact", "fro", "rel", "max_abs"):
        near(k, o[k], t[k])
    if "low" in t:
        for m in ("low", "princ", "princ_not_low"):
            for k in ("observed", "null"):
                near(m + "." + k, o["masks"][m][k], t[m][k])
        s = o["spectrum"]
        for a, b in zip(s["sigma0"], t["sigma0"]):
            near("sigma0", a, b)
        for k in ("srank", "energy_in", "energy_out"):
            near(k, s[k], t[k])
        near("angle_u", s["angles_u"][0], t["angle_u"])
print("largest relative difference: " + "  ".join(f"{k} {v:.1e}" for k, v in worst.items()))
PY
