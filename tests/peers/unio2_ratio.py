#!/usr/bin/env python3
"""How fast bfncl trains the full-size network of MolCRAFT against PyTorch on the same processor.

    make cli peers
    python3 -m venv /tmp/peer && /tmp/peer/bin/pip install torch numpy
    /tmp/peer/bin/python tests/peers/unio2_ratio.py [--complexes 8] [--rounds 3] [--steps 1] [--device SELECTOR]

A step is the search for neighbours, forward, backward, clipping of the gradient and Adam, on complexes of 350 atoms of a
pocket and 25 of a ligand: width 128, 16 heads, 9 layers, 32 neighbours. Both run alternately, in every round first bfncl,
then PyTorch, with all cores; the ratio is PyTorch's median time in a round over bfncl's in the same round. PyTorch runs the
network as it is usually written: index_select, scatter_reduce and index_add over a list of edges, every input of an edge's
MLPs concatenated.
"""

import argparse
import json
import math
import os
import statistics
import subprocess
import sys
import time

import torch
from torch import nn

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
POCKET, LIGAND, NEIGHBOURS = 350, 25, 32
OFFSETS = [0, 1, 1.25, 1.5, 1.75, 2, 2.25, 2.5, 2.75, 3, 3.5, 4, 4.5, 5, 5.5, 6, 7, 8, 9, 10]


def mlp(inner, width, outer):
    return nn.Sequential(nn.Linear(inner, width), nn.LayerNorm(width), nn.ReLU(), nn.Linear(width, outer))


class Distance(nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("offset", torch.tensor(OFFSETS))

    def forward(self, d):
        return torch.exp(-0.5 * (d[:, None] - self.offset) ** 2)


class Attention(nn.Module):
    """softmax over the edges that enter a node, per head, of q k; values times the gate of their edge."""

    def __init__(self, width, heads, values, prefix):
        super().__init__()
        self.heads = heads
        inner = 4 + 80 + 2 * width
        for name, layers in (("k", (inner, width, width)), ("v", (inner, width, values)), ("q", (width, width, width))):
            holder = nn.Module()
            holder.net = mlp(*layers)
            setattr(self, prefix + name + "_func", holder)
        self.prefix = prefix

    def weights(self, h, features, dst):
        get = lambda name: getattr(self, self.prefix + name + "_func").net
        k = get("k")(features).view(len(dst), self.heads, -1)
        q = get("q")(h).view(len(h), self.heads, -1)
        logits = (q.index_select(0, dst) * k).sum(-1) / math.sqrt(k.shape[-1])
        index = dst[:, None].expand_as(logits)
        top = torch.full_like(logits[: len(h)], -math.inf).scatter_reduce(0, index, logits, "amax")
        e = torch.exp(logits - top.index_select(0, dst))
        total = torch.zeros_like(e[: len(h)]).index_add(0, dst, e)
        return e / total.index_select(0, dst), get("v")(features)


class Layer(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.distance_expansion = Distance()
        self.x2h_layers = nn.ModuleList([Attention(width, heads, width, "h")])
        self.h2x_layers = nn.ModuleList([Attention(width, heads, heads, "x")])

    def forward(self, h, x, src, dst, kind, gate, ligand):
        step = x.index_select(0, dst) - x.index_select(0, src)
        # the gradient of a distance at 0 is 0
        distance = step.norm(dim=-1)
        code = self.distance_expansion(distance)
        outer = (kind[:, :, None] * code[:, None, :]).flatten(1)
        features = lambda: torch.cat([kind, outer, h.index_select(0, dst), h.index_select(0, src)], -1)
        a, v = self.x2h_layers[0].weights(h, features(), dst)
        v = (a[:, :, None] * (v * gate).view(len(dst), a.shape[1], -1)).flatten(1)
        h = h.index_add(0, dst, v)
        a, v = self.h2x_layers[0].weights(h, features(), dst)
        move = (a * v * gate).mean(-1, keepdim=True) * step
        return h, x + torch.zeros_like(x).index_add(0, dst, move) * ligand[:, None]


class Unio2(nn.Module):
    def __init__(self, width=128, heads=16, layers=9, pocket_features=27, types=13, time=1):
        super().__init__()
        u = self.unio2net = nn.Module()
        u.distance_expansion = Distance()
        u.edge_pred_layer = nn.Module()
        u.edge_pred_layer.net = mlp(20, width, 1)
        u.base_block = nn.ModuleList(Layer(width, heads) for _ in range(layers))
        self.protein_atom_emb = nn.Linear(pocket_features, width - 1)
        self.ligand_atom_emb = nn.Linear(types + time, width - 1)
        self.v_inference = nn.Sequential(nn.Linear(width, width), nn.Softplus(), nn.Linear(width, types))

    def forward(self, pocket_x, pocket_v, mu, time_theta, node, ligand, src, dst):
        """node: the row of every node in (pocket, ligand); ligand: 1 of a node of the ligand; src, dst: the edges.
        Returns the ligand's positions and the logits of its types, in node order."""
        u = self.unio2net
        one = lambda v, value: torch.cat([v, torch.full_like(v[:, :1], value)], -1)
        h = torch.cat([one(self.protein_atom_emb(pocket_v), 0), one(self.ligand_atom_emb(time_theta), 1)])[node]
        x = torch.cat([pocket_x, mu])[node]
        own, other = ligand[src] > 0, ligand[dst] > 0
        kind = torch.stack([own & other, own & ~other, ~own & other, ~own & ~other], -1).to(x.dtype)
        gate = torch.sigmoid(u.edge_pred_layer.net(u.distance_expansion((x.index_select(0, dst) - x.index_select(0, src)).norm(dim=-1))))
        for layer in u.base_block:
            h, x = layer(h, x, src, dst, kind, gate, ligand)
        last = h[ligand > 0]
        v = self.v_inference
        return x[ligand > 0], v[2](v[1](v[0](last)) - math.log(2.0))


# ---- the comparison ----------------------------------------------------------------------------------------------------


class Ours:
    def __init__(self, program, complexes, device):
        self.process = subprocess.Popen([program, str(complexes), device], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        text=True)
        self.params = int(self.process.stdout.readline())

    def run(self, steps):
        self.process.stdin.write(f"{steps}\n")
        self.process.stdin.flush()
        return [float(ms) for ms in self.process.stdout.readline().split()]


class Theirs:
    def __init__(self, complexes):
        torch.set_num_threads(os.cpu_count())
        torch.manual_seed(1)
        self.net = Unio2()
        self.params = sum(p.numel() for p in self.net.parameters())
        self.adam = torch.optim.Adam(self.net.parameters(), lr=5e-4, betas=(0.95, 0.999), fused=True)
        self.complexes, self.atoms = complexes, POCKET + LIGAND
        rows = torch.arange(complexes * self.atoms)
        of, atom = rows // self.atoms, rows % self.atoms
        self.node = torch.where(atom < POCKET, of * POCKET + atom, complexes * POCKET + of * LIGAND + atom - POCKET)
        self.ligand = (atom >= POCKET).float()
        self.pocket_x = 12 * torch.rand(complexes * POCKET, 3) - 6
        self.pocket_v = 0.2 * torch.rand(complexes * POCKET, 27)
        self.x = 4 * torch.rand(complexes * LIGAND, 3) - 2
        self.types = torch.rand(complexes * LIGAND, 14)
        self.step()

    def step(self):
        x = torch.cat([self.pocket_x, self.x])[self.node].view(self.complexes, self.atoms, 3)
        nearest = torch.cdist(x, x).topk(NEIGHBOURS + 1, largest=False).indices[:, :, 1:]
        src = (nearest + self.atoms * torch.arange(self.complexes)[:, None, None]).flatten()
        dst = torch.arange(self.complexes * self.atoms).repeat_interleave(NEIGHBOURS)
        moved, logits = self.net(self.pocket_x, self.pocket_v, self.x, self.types, self.node, self.ligand, src, dst)
        loss = moved.square().sum() + logits.square().sum()
        self.adam.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self.net.parameters(), 8.0)
        self.adam.step()
        return loss.item()

    def run(self, steps):
        times = []
        for _ in range(steps):
            start = time.perf_counter()
            self.step()
            times.append(1e3 * (time.perf_counter() - start))
        return times


def main():
    parser = argparse.ArgumentParser(description="bfncl's training steps of MolCRAFT's network against PyTorch's")
    parser.add_argument("--complexes", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=1, help="timed steps of a round")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--program", default=os.path.join(ROOT, "build", "release", "peers", "unio2"))
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    ours, theirs = Ours(options.program, options.complexes, options.device), Theirs(options.complexes)
    if ours.params != theirs.params:
        sys.exit(f"PyTorch's network has {theirs.params} parameters, bfncl's {ours.params}")
    rounds = [[statistics.median(side.run(options.steps)) for side in (ours, theirs)] for _ in range(options.rounds)]
    ratios = [b / a for a, b in rounds]
    row = {"complexes": options.complexes, "params": ours.params, "ms": statistics.median(b for _, b in rounds),
           "bfncl_ms": statistics.median(a for a, _ in rounds), "ratio": statistics.median(ratios), "least": min(ratios),
           "largest": max(ratios), "torch": torch.__version__}
    if options.json:
        print(json.dumps(row, indent=1))
    else:
        print("{complexes} complexes  torch {ms:8.1f} ms  bfncl {bfncl_ms:8.1f} ms  ratio {ratio:5.2f} ({least:.2f} to "
              "{largest:.2f})".format(**row))


if __name__ == "__main__":
    main()
