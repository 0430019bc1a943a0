"""A pair of checkpoints (make), and the audit's metrics of it with NumPy and SciPy (measure).

  audit_numpy.py make DIR MEGABYTES    writes DIR/base.safetensors and DIR/tuned.safetensors, BF16
  audit_numpy.py measure DIR           prints the metrics as JSON, then seconds and peak memory

The metrics are those of `orrery audit --k 16 --mask-k 64`: changes by bf16 code, within 1e-5 and
exact, norms, profiles, the leading singular values, principal angles, energies, both masks with
their precision-only null, and the size of the update. Written as one would: whole tensors, vectorised.
"""
import json, resource, sys, time
import numpy as np
from scipy.linalg import subspace_angles
from scipy.sparse.linalg import svds
from scipy.special import erfc

SHAPES = [("model.layers.%d.mlp.up_proj.weight", 4096, 1536), ("model.layers.%d.mlp.down_proj.weight", 1536, 4096),
          ("model.layers.%d.self_attn.q_proj.weight", 1536, 1536), ("model.layers.%d.input_layernorm.weight", 1536, 1)]


def bf16(x):
    b = x.astype(np.float32).view(np.uint32)
    return ((b + 0x7FFF + ((b >> 16) & 1)) >> 16).astype(np.uint16)


def f32(codes):
    return (codes.astype(np.uint32) << 16).view(np.float32)


def make(folder, megabytes):
    rng = np.random.default_rng(1)
    base, tuned, layer, size = {}, {}, 0, 0
    while size < megabytes * 1e6 / 2:  # of each file
        for name, m, n in SHAPES:
            # A decaying spectrum, as weights have, over a dense rest.
            r = min(m, n, 64)
            w = 0.02 * rng.standard_normal((m, n), dtype=np.float32)
            w += (rng.standard_normal((m, r), dtype=np.float32) * np.float32(0.3) * np.float32(0.9) ** np.arange(r, dtype=np.float32)) @ rng.standard_normal((r, n), dtype=np.float32) * np.float32(0.02)
            a = bf16(w)
            b = bf16(f32(a) + 2e-5 * rng.standard_normal((m, n), dtype=np.float32))
            base[name % layer], tuned[name % layer] = a, b
            size += a.nbytes
        layer += 1
    for file, tensors in (("base", base), ("tuned", tuned)):
        header, at = {}, 0
        for name, x in tensors.items():
            shape = [x.shape[0]] if x.shape[1] == 1 else list(x.shape)
            header[name] = {"dtype": "BF16", "shape": shape, "data_offsets": [at, at + x.nbytes]}
            at += x.nbytes
        raw = json.dumps(header).encode()
        with open(f"{folder}/{file}.safetensors", "wb") as f:
            f.write(len(raw).to_bytes(8, "little") + raw)
            for x in tensors.values():
                f.write(x.tobytes())


def tensors(path):
    with open(path, "rb") as f:
        n = int.from_bytes(f.read(8), "little")
        header = json.loads(f.read(n))
    data = np.memmap(path, np.uint8, "r", offset=8 + n)
    for name, t in header.items():
        lo, hi = t["data_offsets"]
        yield name, np.array(data[lo:hi]).view(np.uint16).reshape(t["shape"])


def null(codes, changed):
    """P of each entry's class, with σ found by bisection."""
    cls = ((codes >> 7 & 0xFF).astype(np.int64) << 1) | ((codes & 0x7F) == 0)
    counts = np.bincount(cls.ravel(), minlength=512)
    exponent = np.arange(512) >> 1
    half = 2.0 ** (np.maximum(exponent, 1) - 135)
    h = np.where((np.arange(512) & 1 == 1) & (exponent > 1), half / 2, half)
    p = lambda s: (erfc(half / s / 2**0.5) + erfc(h / s / 2**0.5)) / 2
    lo, hi = -144.0, 180.0
    for _ in range(100):
        mid = (lo + hi) / 2
        lo, hi = (mid, hi) if (counts * p(2.0**mid)).sum() < changed else (lo, mid)
    return p(2.0**hi)[cls]


def measure(folder):
    out = []
    for (name, a), (_, b) in zip(tensors(f"{folder}/base.safetensors"), tensors(f"{folder}/tuned.safetensors")):
        changed = (a != b) & (((a | b) & 0x7FFF) != 0)
        w0, w1 = f32(a), f32(b)
        d = w1.astype(np.float64) - w0
        n, c = a.size, int(changed.sum())
        r = {"name": name, "sparsity_bf16": 1 - c / n, "sparsity_abs1e5": float((np.abs(d) <= 1e-5).mean()), "sparsity_exact": float((d == 0).mean()),
             "fro": float(np.linalg.norm(d)), "rel": float(np.linalg.norm(d) / np.linalg.norm(w0.astype(np.float64))), "max_abs": float(np.abs(d).max())}
        at = np.flatnonzero(a != b)
        gaps = np.diff(at, prepend=-1) - 1
        r["gap_bytes"] = int(((np.maximum(np.frexp(gaps)[1], 1) + 6) // 7).sum() + 2 * len(at))
        if a.ndim == 2:
            m, k = a.shape, 16
            r["rows"], r["cols"] = changed.mean(1).tolist()[:4], changed.mean(0).tolist()[:4]
            u0, s0, v0 = svds(w0.astype(np.float64), 64)
            order = np.argsort(-s0)
            u0, s0, v0 = u0[:, order], s0[order], v0[order]
            u1, s1, v1 = svds(w1.astype(np.float64), k)
            u, v = u0[:, :k], v0[:k]
            sd = svds(d, k, return_singular_vectors=False)
            inner = u.T @ d @ v.T
            dv = d - u @ (u.T @ d)
            dv -= (dv @ v.T) @ v
            r.update(sigma0=s0[:k].tolist(), sigma1=sorted(s1.tolist(), reverse=True), srank=float(r["fro"] ** 2 / sd.max() ** 2),
                     angle_u=float(np.degrees(subspace_angles(u, u1)[0])), angle_v=float(np.degrees(subspace_angles(v.T, v1.T)[0])),
                     energy_in=float((inner**2).sum() / r["fro"] ** 2), energy_out=float((dv**2).sum() / r["fro"] ** 2))
            size = int(0.5 * n + 0.5)
            low = np.zeros(n, bool)
            low[np.argsort((a & 0x7FFF).ravel(), kind="stable")[:size]] = True
            near = np.abs((u0 * s0) @ v0).ravel()
            princ = np.zeros(n, bool)
            princ[np.argsort(-near, kind="stable")[:size]] = True
            p = null(a, c).ravel()
            for key, mask in (("low", low), ("princ", princ), ("princ_not_low", princ & ~low)):
                r[key] = {"observed": float(changed.ravel()[mask].sum() / c), "baseline": float(mask.mean()), "null": float(p[mask].sum() / p.sum())}
        out.append(r)
    print(json.dumps(out))


if __name__ == "__main__":
    if sys.argv[1] == "make":
        make(sys.argv[2], float(sys.argv[3]))
    else:
        t = time.perf_counter()
        measure(sys.argv[2])
        print(f"{time.perf_counter() - t:.2f} {time.process_time():.2f} {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024}", file=sys.stderr)
