"""The rival of scripts/bench/spectrum.sh: NumPy on a matrix of the same size.

  spectrum.py top M N K    the same algorithm: six float64 products, QR, SVD
  spectrum.py values M N   numpy.linalg.svd, values alone
  spectrum.py svd M N      scipy.linalg.svd with vectors

Prints wall and processor milliseconds, the least of three. NumPy's W is float64
from the start, so that it converts nothing.
"""
import sys
import time

import numpy as np

what, m, n = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
rng = np.random.default_rng(1)
w = 0.02 * rng.standard_normal((m, n))


def top(k):
    omega = rng.standard_normal((n, k + 16))
    q, _ = np.linalg.qr(w @ omega)
    for _ in range(2):
        p, _ = np.linalg.qr(w.T @ q)
        q, _ = np.linalg.qr(w @ p)
    u, s, vt = np.linalg.svd(q.T @ w, full_matrices=False)
    return (q @ u)[:, :k], s[:k], vt[:k]


if what == "top":
    k = int(sys.argv[4])
    run = lambda: top(k)
elif what == "values":
    run = lambda: np.linalg.svd(w, compute_uv=False)
else:
    import scipy.linalg
    run = lambda: scipy.linalg.svd(w, full_matrices=False)
wall, cpu = [], []
for _ in range(3):
    a, b = time.perf_counter(), time.process_time()
    run()
    wall.append(time.perf_counter() - a)
    cpu.append(time.process_time() - b)
print(f"{1e3 * min(wall):.0f} {1e3 * min(cpu):.0f}")
