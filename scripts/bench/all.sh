#!/usr/bin/env bash
# Every benchmark of docs/benchmarks.md, each beside its rival in the same run.
# Wants a quiet machine and about ten minutes; installs Debian's python3-numpy
# and python3-torch if they aren't there.
#   bash scripts/bench/all.sh >docs/results/benchmarks.txt
set -euo pipefail
cd "$(dirname "$0")/../.."
/usr/bin/python3 -c 'import numpy, torch' 2>/dev/null || apt-get install -y python3-numpy python3-torch >/dev/null
bench() { go test -run xxx -bench "$1" -benchtime "${3:-1s}" -count "${4:-3}" "$2" | grep -E '^(Benchmark|cpu:)'; }

echo "load: $(cut -d' ' -f1-3 /proc/loadavg)  cores: $(nproc)  $(go version | cut -d' ' -f3-)"
echo; echo "== products and kernels against OpenBLAS and NumPy, two threads, then one"
/usr/bin/python3 learn/tensor/testdata/rival.py 2
/usr/bin/python3 learn/tensor/testdata/rival.py 1
echo; echo "== a training step against PyTorch"
bash scripts/bench/step.sh 5
echo; echo "== decoding, and the machine's limits"
bench Decode ./learn/nn 200x 3
echo; echo "== the stream parser against encoding/json"
bench Stream ./internal/upstream 1s 3
echo; echo "== confidence per token against a full sort"
bench . ./think/confidence 1s 3
echo; echo "== the proxy against net/http/httputil.ReverseProxy"
bench Proxy ./internal/server 1s 3
echo; echo "== singular values and vectors against NumPy and SciPy"
bash scripts/bench/spectrum.sh 3
echo; echo "== updates between checkpoints against zstd and SHA-256"
bash scripts/bench/delta.sh
echo; echo "== an audit against NumPy and SciPy"
MEGABYTES=110 bash scripts/bench/audit.sh
echo; echo "== grokking against NumPy and PyTorch"
bash scripts/bench/grok.sh 1
echo; echo "== a sweep with one and with two workers"
bash scripts/bench/sweep.sh 2
