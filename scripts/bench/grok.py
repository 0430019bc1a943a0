"""The training of `orrery train grok` in NumPy and in PyTorch, for scripts/bench/grok.sh.

    grok.py numpy|torch D Q EPOCHS THREADS

prints the quickest and the median epoch in ms and the loss after EPOCHS. Full batch, 90 % of
the pairs, loss mean ||o - mean(o) - (onehot - 1/d)||^2, Adam with coupled decay,
float32. Both are written as one would write them for speed: rows are gathered,
buffers are reused, and sums over equal inputs are products with a one-hot matrix in
NumPy (faster there than add.at or add.reduceat) and index_add in PyTorch.
"""

import os
import sys
import time

kind, d, q, epochs, threads = sys.argv[1], *map(int, sys.argv[2:6])
for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[name] = str(threads)

import numpy as np

LR, DECAY, B1, B2, EPS = 0.01, 5e-5, 0.9, 0.999, 1e-8
rng = np.random.default_rng(1)
pairs = np.sort(rng.permutation(d * d)[: d * d - -(-d * d // 10)])
X, Y = pairs // d, pairs % d
T = (X + Y) % d
n = len(pairs)
uniform = lambda rows, cols, fan: rng.uniform(-1, 1, (rows, cols)).astype(np.float32) / np.float32(np.sqrt(fan))
A, B, C = uniform(d, q, d), uniform(d, q, d), uniform(q, d, q)


def with_numpy():
    f = np.float32
    onehot = lambda v: np.eye(d, dtype=f)[v]
    xt, yt = np.ascontiguousarray(onehot(X).T), np.ascontiguousarray(onehot(Y).T)
    label = onehot(T) - f(1 / d)
    w, g = [A, B, C], [np.empty_like(v) for v in (A, B, C)]
    m, v = [np.zeros_like(x) for x in w], [np.zeros_like(x) for x in w]
    s, t, h, dh = (np.empty((n, q), f) for _ in range(4))
    o = np.empty((n, d), f)

    def epoch(i):
        np.take(A, X, 0, out=s, mode="clip")
        np.take(B, Y, 0, out=t, mode="clip")
        np.add(s, t, out=s)
        np.multiply(s, s, out=h)
        np.matmul(h, C, out=o)
        np.subtract(o, o.mean(1, keepdims=True), out=o)
        np.subtract(o, label, out=o)
        loss = float(np.vdot(o, o)) / n
        np.multiply(o, f(2 / n), out=o)
        np.matmul(h.T, o, out=g[2])
        np.matmul(o, C.T, out=dh)
        np.multiply(dh, s, out=dh)
        np.multiply(dh, f(2), out=dh)
        np.matmul(xt, dh, out=g[0])
        np.matmul(yt, dh, out=g[1])
        c1, c2 = 1 - B1**i, 1 - B2**i
        for p, gp, mp, vp in zip(w, g, m, v):
            gp += f(DECAY) * p
            mp *= f(B1)
            mp += f(1 - B1) * gp
            vp *= f(B2)
            vp += f(1 - B2) * gp * gp
            p -= f(LR / c1) * mp / (np.sqrt(vp / f(c2)) + f(EPS))
        return loss

    return epoch


def with_torch():
    import torch

    torch.set_num_threads(threads)
    w = [torch.tensor(v, requires_grad=True) for v in (A, B, C)]
    x, y, t = torch.tensor(X), torch.tensor(Y), torch.tensor(T)
    label = torch.nn.functional.one_hot(t, d).float() - 1 / d
    opt = torch.optim.Adam(w, lr=LR, betas=(B1, B2), eps=EPS, weight_decay=DECAY)

    def epoch(_):
        opt.zero_grad(set_to_none=True)
        h = (w[0].index_select(0, x) + w[1].index_select(0, y)).square()
        o = h @ w[2]
        loss = (o - o.mean(1, keepdim=True) - label).square().sum() / n
        loss.backward()
        opt.step()
        return loss.detach()

    return epoch


epoch = {"numpy": with_numpy, "torch": with_torch}[kind]()
times = []
for i in range(1, epochs + 1):
    began = time.perf_counter()
    loss = epoch(i)
    times.append(time.perf_counter() - began)
print(f"{1e3 * min(times):.3f} {1e3 * np.median(times):.3f} {float(loss):.6g}")
