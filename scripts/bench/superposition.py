#!/usr/bin/env python3
"""Times training steps of the two-layer model with thoughts in PyTorch on the CPU.

The rival of BenchmarkSuperposition in learn/recipe: GPT-2's block, two layers of
128, four heads, learned positions, tied head, float32, no dropout; prompts of
random symbols, 3m+5 long with the recipe's mean and spread, in a padded batch; four
thoughts, each a pass of one row that reads the keys and values of all before it; [A];
one target a question; Adam with decoupled decay. As ours, the last layer computes
queries and MLP of the rows that are needed only, so the work is the same.
Run it through scripts/bench/superposition.sh, which alternates it with ours.
"""
import argparse
import statistics
import time

import torch
import torch.nn as nn
import torch.nn.functional as F

D, HEADS, VOCAB, POSITIONS = 128, 4, 40, 256


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.n1, self.n2 = nn.LayerNorm(D), nn.LayerNorm(D)
        self.q, self.kv, self.o = nn.Linear(D, D), nn.Linear(D, 2 * D), nn.Linear(D, D)
        self.up, self.down = nn.Linear(D, 4 * D), nn.Linear(4 * D, D)

    def forward(self, x, past, mask, rows=None):
        """x (B, T, D); past (k, v) or None; rows: the row whose result is wanted, or None for all."""
        b, t, _ = x.shape
        h = self.n1(x)
        k, v = self.kv(h).view(b, t, 2 * HEADS, D // HEADS).transpose(1, 2).chunk(2, 1)
        if past is not None:
            k, v = torch.cat([past[0], k], 2), torch.cat([past[1], v], 2)
        if rows is not None:
            at = rows.view(-1, 1, 1).expand(-1, 1, D)
            x, h, mask = x.gather(1, at), h.gather(1, at), mask.gather(2, rows.view(-1, 1, 1, 1).expand(-1, 1, 1, mask.shape[3]))
        q = self.q(h).view(b, -1, HEADS, D // HEADS).transpose(1, 2)
        p = torch.softmax(q @ k.transpose(-1, -2) / (D // HEADS) ** 0.5 + mask, -1)
        x = x + self.o((p @ v).transpose(1, 2).reshape(b, -1, D))
        return x + self.down(F.gelu(self.up(self.n2(x)), approximate="tanh")), (k, v)


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed, self.pos = nn.Embedding(VOCAB, D), nn.Embedding(POSITIONS, D)
        self.blocks, self.norm = nn.ModuleList([Block(), Block()]), nn.LayerNorm(D)

    def think(self, prompts, lens, thoughts):
        """prompts (B, T) padded on the right; the logits after thoughts and [A]."""
        b, t = prompts.shape
        column = torch.arange(t)
        seen = column[None, :] < lens[:, None]  # (B, T) keys that exist
        mask = torch.full((b, 1, t, t), float("-inf"))
        mask.masked_fill_((column[None, :] <= column[:, None])[None, None] & seen[:, None, None, :], 0.0)
        x = self.embed(prompts) + self.pos(column)[None]
        past = [None, None]
        x, past[0] = self.blocks[0](x, None, mask)
        x, past[1] = self.blocks[1](x, None, mask, rows=lens - 1)
        h = self.norm(x)
        keys = torch.zeros(b, 1, 1, t).masked_fill(~seen[:, None, None, :], float("-inf"))
        for n in range(thoughts + 1):
            row = h if n < thoughts else self.embed(torch.full((b, 1), 37))
            x = row + self.pos(lens + n)[:, None]
            keys = torch.cat([keys, torch.zeros(b, 1, 1, 1)], 3)
            for i, block in enumerate(self.blocks):
                x, past[i] = block(x, past[i], keys)
            h = self.norm(x)
        return h[:, 0] @ self.embed.weight.T


def main():
    a = argparse.ArgumentParser()
    a.add_argument("--questions", type=int, default=64)
    a.add_argument("--steps", type=int, default=8)
    a = a.parse_args()
    torch.manual_seed(1)
    model = Model()
    adam = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.01)
    seconds = []
    for step in range(a.steps + 2):
        edges = torch.normal(36.3, 6.0, (a.questions,)).round().clamp(20, 54).long()
        lens = 3 * edges + 5
        prompts = torch.randint(0, 31, (a.questions, int(lens.max())))
        began = time.perf_counter()
        loss = F.cross_entropy(model.think(prompts, lens, 4), torch.randint(0, 31, (a.questions,)))
        adam.zero_grad()
        loss.backward()
        adam.step()
        if step >= 2:  # the first two warm up
            seconds.append(time.perf_counter() - began)
    print(f"{a.questions / statistics.median(seconds):.1f}")


main()
