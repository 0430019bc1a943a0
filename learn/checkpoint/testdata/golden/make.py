#!/usr/bin/env python3
"""Makes the golden files of this folder, with nothing but Python's own library.

A safetensors file as the format's description has it, a sharded checkpoint as
transformers' save_pretrained leaves one, and LoRA adapters as PEFT saves them,
each with the merged weights: exact fractions, rounded once, ties to even.
"""
import json, math, os, random, struct
from fractions import Fraction as Q

os.chdir(os.path.dirname(os.path.abspath(__file__)))
rng = random.Random(20251111)

# name: exponent bits, mantissa bits, bias, largest finite code, bytes
FORMATS = {"F32": (8, 23, 127, 0x7F7FFFFF, 4), "BF16": (8, 7, 127, 0x7F7F, 2), "F16": (5, 10, 15, 0x7BFF, 2),
           "F8_E4M3": (4, 3, 7, 0x7E, 1), "F8_E5M2": (5, 2, 15, 0x7B, 1)}


def value(code, fmt):
    exp, man, bias, _, size = FORMATS[fmt]
    e, m = code >> man & (1 << exp) - 1, code & (1 << man) - 1
    v = Q(m, 1 << man) * Q(2) ** (1 - bias) if e == 0 else (1 + Q(m, 1 << man)) * Q(2) ** (e - bias)
    return -v if code >> 8 * size - 1 else v


def nearest(v, fmt):
    """The code nearest to a fraction: bisection among the finite codes, of two the even one."""
    _, _, _, top, size = FORMATS[fmt]
    a, lo, hi = abs(v), 0, top
    while lo < hi:
        mid = (lo + hi + 1) // 2
        lo, hi = (mid, hi) if value(mid, fmt) <= a else (lo, mid - 1)
    if lo < top:
        below, above = a - value(lo, fmt), value(lo + 1, fmt) - a
        if above < below or above == below and lo % 2:
            lo += 1
    return lo | (v < 0) << 8 * size - 1


def pack(codes, fmt):
    return b"".join(c.to_bytes(FORMATS[fmt][4], "little") for c in codes)


def safetensors(path, tensors, metadata=None):
    """tensors: name -> (dtype, shape, bytes), in the order of their bytes."""
    header, data = {}, b""
    if metadata is not None:
        header["__metadata__"] = metadata
    for name, (dtype, shape, raw) in tensors.items():
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
    with open(path, "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text + data)


def matrix(rows, cols, fmt, scale=1.0):
    return [[nearest(Q(rng.gauss(0, scale)), fmt) for _ in range(cols)] for _ in range(rows)]


def flat(m):
    return [c for row in m for c in row]


def tensor(m, fmt):
    return (fmt, [len(m), len(m[0])], pack(flat(m), fmt))


def merge(base, bf, a, b, f, scale, transposed):
    """Codes of base + scale·B·A (transposed), in the base's format."""
    A, B = [[value(c, f) for c in r] for r in a], [[value(c, f) for c in r] for r in b]
    out = []
    for i, row in enumerate(base):
        for j, c in enumerate(row):
            o, n = (j, i) if transposed else (i, j)
            out.append(nearest(value(c, bf) + Q(scale) * sum(B[o][k] * A[k][n] for k in range(len(A))), bf))
    return out


# One tensor of every type that the writer takes floats for.
every = {}
for fmt in ("F32", "F16", "BF16", "F8_E4M3", "F8_E5M2"):
    every[fmt.lower()] = (fmt, [3, 5], pack(flat(matrix(3, 5, fmt)), fmt))
every["f64"] = ("F64", [2], struct.pack("<2d", math.pi, -1e300))
order = ["F64", "F32", "BF16", "F16", "F8_E4M3", "F8_E5M2"]  # the Rust library's: wide types first, then names
every = dict(sorted(every.items(), key=lambda t: order.index(t[1][0])))
safetensors("every.safetensors", every, {"format": "pt"})
json.dump({n: [struct.unpack("<d", t[2][8 * i:8 * i + 8])[0] if t[0] == "F64" else
               float(value(int.from_bytes(t[2][FORMATS[t[0]][4] * i:][:FORMATS[t[0]][4]], "little"), t[0]))
               for i in range(math.prod(t[1]))] for n, t in every.items()}, open("every.json", "w"), indent=1)

# A base in shards, and adapters of it.
q, emb, conv, head, norm = (matrix(6, 4, "BF16"), matrix(7, 4, "BF16"), matrix(4, 6, "F16"), matrix(5, 4, "F32"), matrix(1, 4, "BF16"))
base = {"model.embed_tokens.weight": (emb, "BF16"), "model.layers.0.self_attn.q_proj.weight": (q, "BF16"),
        "model.layers.10.self_attn.q_proj.weight": (q, "BF16"), "transformer.h.0.attn.c_attn.weight": (conv, "F16"),
        "lm_head.weight": (head, "F32"), "model.norm.weight": (norm, "BF16")}
names, shards, weights = list(base), [[0, 1], [2, 3], [4, 5]], {}
for i, part in enumerate(shards):
    file = "model-%05d-of-%05d.safetensors" % (i + 1, len(shards))
    part = sorted((names[k] for k in part), key=lambda n: (order.index(base[n][1]), n))
    safetensors("base/" + file, {n: tensor(*base[n]) for n in part}, {"format": "pt"})
    weights.update({n: file for n in part})
size = sum(len(flat(m)) * FORMATS[f][4] for m, f in base.values())
with open("base/model.safetensors.index.json", "w") as f:
    f.write(json.dumps({"metadata": {"total_size": size}, "weight_map": weights}, indent=2, sort_keys=True) + "\n")


def adapter(folder, config, modules, extra={}):
    """modules: base tensor -> (rank, scale, transposed, embedding)."""
    tensors, merged = {}, {}
    for target, (r, scale, transposed, embedding) in modules.items():
        m, bf = base[target]
        rows, cols = (len(m[0]), len(m)) if transposed else (len(m), len(m[0]))
        a, b = matrix(r, cols, "BF16"), matrix(rows, r, "BF16", 0.1)
        stem = "base_model.model." + target.removesuffix(".weight")
        for x, t in (("A", a), ("B", b)):
            tensors[stem + (".lora_embedding_" + x if embedding else ".lora_%s.weight" % x)] = tensor(t, "BF16")
        merged[target] = (bf, [len(m), len(m[0])], pack(merge(m, bf, a, b, "BF16", scale, transposed), bf))
    for target, m in extra.items():
        tensors["base_model.model." + target] = merged[target] = tensor(m, "F32")
    safetensors(folder + "/adapter_model.safetensors", dict(sorted(tensors.items())), {"format": "pt"})
    with open(folder + "/adapter_config.json", "w") as f:
        f.write(json.dumps({"peft_type": "LORA", "base_model_name_or_path": "base", "bias": "none", "fan_in_fan_out": False,
                            "init_lora_weights": True, "lora_dropout": 0.0, "modules_to_save": None, "use_dora": False,
                            "use_rslora": False, "rank_pattern": {}, "alpha_pattern": {}, "target_modules": ["q_proj"],
                            "task_type": "CAUSAL_LM"} | config, indent=2, sort_keys=True))
    safetensors(folder + "/merged.safetensors", merged)


q0, q10 = "model.layers.0.self_attn.q_proj.weight", "model.layers.10.self_attn.q_proj.weight"
adapter("plain", {"r": 2, "lora_alpha": 3, "modules_to_save": ["lm_head"]},
        {q0: (2, 1.5, False, False), q10: (2, 1.5, False, False), "model.embed_tokens.weight": (2, 1.5, True, True)},
        {"lm_head.weight": matrix(5, 4, "F32")})
# The first pattern that matches counts; "0.self_attn.q_proj" is the end of layer 0's name
# after a dot, and of no other's.
adapter("rslora", {"r": 4, "lora_alpha": 5.0, "use_rslora": True, "rank_pattern": {"0.self_attn.q_proj": 3},
                   "alpha_pattern": {"model.layers.1.*": 7, "q_proj": 2}},
        {q0: (3, 2 / math.sqrt(3), False, False), q10: (4, 7 / math.sqrt(4), False, False)})
adapter("fan_in", {"r": 1, "lora_alpha": 1, "fan_in_fan_out": True}, {"transformer.h.0.attn.c_attn.weight": (1, 1.0, True, False)})
