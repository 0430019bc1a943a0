#!/usr/bin/env python3
"""Times one training step of a transformer in PyTorch on the CPU.

The rival of BenchmarkTrainStep in learn/nn: the same shapes, the loss over
every position, Adam with decoupled decay, float32, no dropout. --gpt is the
GPT-2 kind (LayerNorm, tanh-GELU, learned positions), otherwise Llama's. PyTorch
gets equal lengths, which need no padding; ours are ragged with the same sum.
Run it through scripts/bench/step.sh, which alternates it with ours.
"""
import argparse
import statistics
import time

import torch
import torch.nn as nn
import torch.nn.functional as F


class RMSNorm(nn.Module):
    def __init__(self, d, eps=1e-5):
        super().__init__()
        self.w, self.eps = nn.Parameter(torch.ones(d)), eps

    def forward(self, x):
        return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + self.eps) * self.w


def rotate(x, cos, sin):
    a, b = x.chunk(2, -1)
    return torch.cat([a * cos - b * sin, b * cos + a * sin], -1)


class Block(nn.Module):
    def __init__(self, d, heads, kv, hd, ffn, gpt):
        super().__init__()
        self.heads, self.kv, self.hd, self.gpt = heads, kv, hd, gpt
        norm = nn.LayerNorm if gpt else RMSNorm
        self.n1, self.n2 = norm(d), norm(d)
        self.q = nn.Linear(d, heads * hd, bias=False)
        self.k = nn.Linear(d, kv * hd, bias=False)
        self.v = nn.Linear(d, kv * hd, bias=False)
        self.o = nn.Linear(heads * hd, d, bias=False)
        if not gpt:
            self.gate = nn.Linear(d, ffn, bias=False)
        self.up = nn.Linear(d, ffn, bias=False)
        self.down = nn.Linear(ffn, d, bias=False)

    def forward(self, x, cos, sin, mask):
        B, T, _ = x.shape
        h = self.n1(x)
        q = self.q(h).view(B, T, self.heads, self.hd).transpose(1, 2)
        k = self.k(h).view(B, T, self.kv, self.hd).transpose(1, 2)
        if not self.gpt:
            q, k = rotate(q, cos, sin), rotate(k, cos, sin)
        v = self.v(h).view(B, T, self.kv, self.hd).transpose(1, 2)
        rep = self.heads // self.kv
        if rep > 1:
            k, v = k.repeat_interleave(rep, 1), v.repeat_interleave(rep, 1)
        p = torch.softmax(q @ k.transpose(-1, -2) / self.hd**0.5 + mask, -1)
        x = x + self.o((p @ v).transpose(1, 2).reshape(B, T, -1))
        h = self.n2(x)
        if self.gpt:
            return x + self.down(F.gelu(self.up(h), approximate="tanh"))
        return x + self.down(F.silu(self.gate(h)) * self.up(h))


class Model(nn.Module):
    def __init__(self, vocab, d, layers, heads, kv, hd, ffn, T, gpt):
        super().__init__()
        self.emb = nn.Embedding(vocab, d)
        self.pos = nn.Embedding(T, d) if gpt else None
        self.blocks = nn.ModuleList(Block(d, heads, kv, hd, ffn, gpt) for _ in range(layers))
        self.norm = nn.LayerNorm(d) if gpt else RMSNorm(d)
        freq = 10000.0 ** (-torch.arange(0, hd // 2) / (hd // 2))
        angle = torch.arange(T)[:, None] * freq[None]
        self.register_buffer("cos", angle.cos())
        self.register_buffer("sin", angle.sin())
        self.register_buffer("mask", torch.full((T, T), float("-inf")).triu(1))

    def forward(self, ids):
        x = self.emb(ids)
        if self.pos is not None:
            x = x + self.pos.weight
        for b in self.blocks:
            x = b(x, self.cos, self.sin, self.mask)
        return self.norm(x) @ self.emb.weight.T


def main():
    a = argparse.ArgumentParser()
    for name, default in dict(vocab=512, d=256, layers=2, heads=8, kv=8, hd=32, ffn=1024, batch=32, seq=64, steps=8, threads=2).items():
        a.add_argument("--" + name, type=int, default=default)
    a.add_argument("--gpt", action="store_true")
    a = a.parse_args()
    torch.manual_seed(0)
    torch.set_num_threads(a.threads)
    model = Model(a.vocab, a.d, a.layers, a.heads, a.kv, a.hd, a.ffn, a.seq, a.gpt)
    opt = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.1)
    ids = torch.randint(0, a.vocab, (a.batch, a.seq + 1))
    times = []
    for step in range(a.steps + 2):
        start = time.perf_counter()
        loss = F.cross_entropy(model(ids[:, :-1]).flatten(0, 1), ids[:, 1:].flatten())
        opt.zero_grad(set_to_none=True)
        loss.backward()
        opt.step()
        if step >= 2:  # two warm-up steps
            times.append(time.perf_counter() - start)
    median = statistics.median(times)
    print(f"{median*1e3:.1f}")


if __name__ == "__main__":
    main()
