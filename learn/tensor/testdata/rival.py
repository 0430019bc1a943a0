#!/usr/bin/env python3
"""Times package tensor against NumPy (OpenBLAS) by turns in one process:

    python3 learn/tensor/testdata/rival.py [THREADS]

Each round runs one and then the other; the ratio is rival time / our time, its
median and quartiles over the rounds, so that a busy machine slows both. With
one thread the clock is the processor's, otherwise the wall's.
Each of our calls pays two or three microseconds for the way from Python into
Go, which shows in the products of (100,100,32).
Products count 2·m·n·k operations; functions count elements.

OpenBLAS falls back to its slowest kernels on a processor newer than itself, so
unless OPENBLAS_CORETYPE is set this sets it from the processor's flags."""
import ctypes
import os
import subprocess
import sys
import tempfile
import time

threads = int(sys.argv[1]) if len(sys.argv) > 1 else len(os.sched_getaffinity(0))
os.environ["OPENBLAS_NUM_THREADS"] = str(threads)
if "OPENBLAS_CORETYPE" not in os.environ:
    with open("/proc/cpuinfo") as f:
        flags = f.read().split()
    os.environ["OPENBLAS_CORETYPE"] = "SKYLAKEX" if "avx512vl" in flags else "HASWELL" if "avx2" in flags else ""
    os.execv(sys.executable, [sys.executable] + sys.argv)

import numpy as np  # after the environment is set

here = os.path.dirname(os.path.abspath(__file__))
build = tempfile.TemporaryDirectory()
library = os.path.join(build.name, "rival.so")
subprocess.run(["go", "build", "-buildmode=c-shared", "-o", library, "./rival"], cwd=here, check=True)
ours = ctypes.CDLL(library)
ours.Threads(threads)
clock = time.process_time if threads == 1 else time.perf_counter
rng = np.random.default_rng(1)


def pointer(x):
    return ctypes.c_void_p(x.ctypes.data)


def compare(name, work, unit, mine, theirs, out, check):
    mine()
    got = out.copy()
    theirs()
    np.testing.assert_allclose(got, check(), rtol=2e-4, atol=2e-4)
    start = clock()
    mine()
    repeat = max(1, int(0.005 / max(clock() - start, 1e-7)))
    times = []
    for _ in range(41):
        # OpenBLAS's threads spin for some 30 ms after a product, on the
        # processors that ours are about to use.
        if threads > 1:
            time.sleep(0.06)
        mine()  # after a pause, and after the other, the first call is slower
        t0 = clock()
        for _ in range(repeat):
            mine()
        t1 = clock()
        theirs()
        t2 = clock()
        for _ in range(repeat):
            theirs()
        times.append(((t1 - t0) / repeat, (clock() - t2) / repeat))
    times = np.array(times[1:])
    ratio = np.percentile(times[:, 1] / times[:, 0], [50, 25, 75])
    rate = work / np.median(times, 0) / 1e9
    print("%-30s %9.1f %9.1f %-10s %5.2f  [%.2f %.2f]" % (name, *rate, unit, *ratio))


def array(*shape):
    return rng.standard_normal(shape, dtype=np.float32)


print("%d thread(s), OPENBLAS_CORETYPE=%s" % (threads, os.environ["OPENBLAS_CORETYPE"]))
print("%-30s %9s %9s %-10s %s" % ("", "tensor", "numpy", "", "rival time / our time, quartiles"))
for m, n, k, trans in [(1024, 1024, 1024, 0), (1024, 1024, 1024, 1), (2048, 256, 256, 1), (2048, 1024, 256, 1), (2048, 256, 256, 0), (512, 768, 256, 1), (100, 100, 32, 1), (100, 32, 100, 0)]:
    a, b, c = array(m, k), array(n, k) if trans else array(k, n), array(m, n)
    right = b.T if trans else b
    compare("(%d,%d,%d) %s" % (m, n, k, "a·bᵀ" if trans else "a·b"), 2 * m * n * k, "GFLOP/s",
            lambda: ours.Product(pointer(c), pointer(a), pointer(b), m, n, k, trans),
            lambda: np.dot(a, right, out=c), c, lambda: np.dot(a, right))
for m in [1, 8, 32]:
    n, k = 1024, 256
    a, b, c = array(m, k), array(n, k), array(m, n)
    ours.Pack(pointer(b), n, k)
    compare("(%d,%d,%d) packed weights" % (m, n, k), 2 * m * n * k, "GFLOP/s",
            lambda: ours.Decode(pointer(c), pointer(a), m, n, k),
            lambda: np.dot(a, b.T, out=c), c, lambda: np.dot(a, b.T))
x, y = array(300, 301), array(300, 301)
for name, f, g in [("exp", ours.Exp, np.exp), ("tanh", ours.Tanh, np.tanh)]:
    compare(name, x.size, "Gelem/s", lambda: f(pointer(y), pointer(x), x.size), lambda: g(x, out=y), y, lambda: g(x))


def softmax():
    np.subtract(x, x.max(1, keepdims=True), out=y)
    np.exp(y, out=y)
    np.divide(y, y.sum(1, keepdims=True), out=y)
    return y


compare("softmax of 300 rows of 301", x.size, "Gelem/s", lambda: ours.Softmax(pointer(y), pointer(x), 300, 301), softmax, y, softmax)
