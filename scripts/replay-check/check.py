#!/usr/bin/env python3
"""Holds `orrery replay` against naive.py on random trace files: measures within 1e-9, decisions exactly.

    ./check.py                        two thousand cases with a fresh build
    ./check.py --cases 200 --seed 7   other cases
    ./check.py --orrery ./orrery      a build that exists already

Each case is one file with random flags. Four in ten hold multiples of 1/4 in lists of 1, 2, 4 … entries with W and k
powers of two: all their sums are exact in doubles, so ties with s are ties in both programs and nothing is excused. In
the others a decision is left out of the comparison only where a distance lies strictly between 0 and 1e-9, by either
program's account. A table of what agreed is printed; the exit code is 1 after any disagreement, whose file and flags
are kept for repetition.
"""
import argparse
import collections
import json
import math
import os
import pathlib
import random
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True  # leave the checkout as it is
import naive

TOLERANCE = 1e-9  # what specs ask of another implementation's measures; relative above 1
TRUTHS = ("4", "4", "4", "4", "7", "7", "12", "0")
ODD = (None, "", "   ", " 4 ", "x", "Ä", "4.0", '"', "a\\b", "7 ")


def top_list(r, level, exact, k):
    """One token's log-probabilities, in any order, with what servers are known to put there."""
    if exact:
        size = r.choice([1, 2, 4, 8])
        top = [-r.randrange(0, 40) / 4 * level for _ in range(size)]
        if r.random() < 0.1:
            top[0] = -100.0
    else:
        size = r.choice([1, 2, 3, 5, 20, 21]) if r.random() < 0.8 else k + 1
        top = [-r.expovariate(1 / level) for _ in range(size)]
        for odd, chance in ((-9999, 0.02), (-3.4e38, 0.02), (0.3, 0.02), (None, 0.05), (0, 0.02), (-1e-320, 0.01), (-100.0000001, 0.01)):
            if r.random() < chance:
                top[r.randrange(size)] = odd
        if r.random() < 0.5:
            top.sort(key=lambda x: math.inf if x is None else -x)
    if r.random() < 0.03:
        top.insert(0, None)
    return top


def trace(r, exact, k, longest):
    level = r.choice([0.25, 0.5, 1, 1, 2, 4] if exact else [0.3, 1, 1.2, 1.5, 4])
    blank = r.choice([0, 0, 0, 0.1, 0.5, 0.5, 1]) if r.random() < 0.4 else 0
    constant = top_list(r, level, exact, k) if exact and r.random() < 0.1 else None
    tokens = []
    for _ in range(r.choice([0, 1, 2, longest, r.randint(0, longest), r.randint(0, longest), r.randint(0, longest)])):
        token = {"logprob": -r.random(), "top": constant or top_list(r, level, exact, k)}
        if r.random() < blank:
            token = r.choice([{"logprob": -1.5, "top": []}, {"logprob": None, "top": []}, {"logprob": -0.5, "top": [None, None]}, {"logprob": -0.5, "top": None}])
        tokens.append(token)
    return tokens


def case(r):
    """One file's lines and one set of flags."""
    exact = r.random() < 0.4
    window = r.choice([1, 2, 4, 8, 16] if exact else [1, 2, 3, 5, 8, 10, 17, 40])
    k = r.choice([1, 2, 4, 8, 16] if exact else [1, 2, 3, 20, 20, 20, 20])
    longest = r.choice([window, 2 * window, 3 * window, 60]) if r.random() < 0.97 else r.choice([200, 500])
    n = r.choice([0, 1, 2, 3, 5, 8, 12, 17, 20, 24])
    if r.random() < 0.01:
        window, longest, n = 64, 700, 5
    math_answers = r.random() < 0.2
    traces, names = [], r.sample(range(1000), n)
    for i in range(n):
        t = {"id": names[i] if r.random() < 0.5 else f"t{names[i]}"}
        answer = r.choice(TRUTHS) if math_answers or r.random() < 0.85 else r.choice(ODD)
        if r.random() > 0.05:
            t["answer"] = answer
        t["tokens"] = r.choice(traces)["tokens"] if traces and r.random() < 0.25 else trace(r, exact, k, longest)
        if r.random() < 0.05:
            t["extra"] = {"anything": [1]}
        traces.append(t)
    if n and r.random() < 0.03:
        for t in traces:
            for token in t["tokens"]:
                token["top"] = []
    flags = {"window": window, "k": k, "answers": "math" if math_answers else "raw",
             "eta": r.choice([10, 90, 10, 90, 100, 50, 25, 33.3, 0.5, 66]), "warmup": r.choice([1, 2, 3, 4, 5, 8, 11, 16]),
             "tau": r.choice([0.95, 0.95, 0.5, 0.6, 0.75, 0.9, 1]), "min-votes": r.choice([1, 2, 2, 2, 3, 6])}
    if r.random() < 0.3:
        flags["tail"] = r.choice([1, 2, window, 2 * window, 1000])
    if r.random() < 0.3:
        flags["budget"] = r.randint(1, n + 2)
    if r.random() < 0.35 and n:
        lengths = [len(t["tokens"]) for t in traces]
        spent = sum(lengths[:r.randint(1, n)]) if r.random() < 0.6 else r.randint(0, sum(lengths) + 3)
        flags["token-budget"] = max(1, spent + r.choice([0, 0, 0, -1, 1]))
    if r.random() < 0.15:
        flags["floor"] = r.choice([-1, -5, -64, -128] if exact else [-0.5, -1, -5, -30, -1000])
    if r.random() < 0.1:
        flags["threshold"] = r.choice([0.5, 1, 2, 3.25, 0])
        del flags["warmup"]
    if r.random() < 0.25:
        flags["no-consensus"] = True
    if r.random() < 0.1:
        flags["window"] = r.choice([10**6, 2048] if "threshold" in flags else ["auto", 10**6, 2048])
    for name in ("k", "eta", "warmup", "tau", "min-votes"):
        if name in flags and r.random() < 0.05:
            del flags[name]  # the documented default
    return [json.dumps(t, ensure_ascii=r.random() < 0.5) for t in traces], flags, exact


def command(flags):
    return [f"--{name}" if value is True else f"--{name}={value}" for name, value in flags.items()]


def differences(path, ours, theirs):
    """Where two JSON values differ; numbers are equal within TOLERANCE."""
    if isinstance(theirs, bool) or isinstance(ours, bool) or ours is None or theirs is None:
        if ours is not theirs:
            yield f"{path}: orrery {ours}, naive {theirs}"
    elif isinstance(theirs, (int, float)) and isinstance(ours, (int, float)):
        if not abs(ours - theirs) <= TOLERANCE * max(1, abs(theirs)):
            yield f"{path}: orrery {ours}, naive {theirs}"
    elif type(ours) is not type(theirs):
        yield f"{path}: orrery {ours!r}, naive {theirs!r}"
    elif isinstance(theirs, dict):
        if ours.keys() != theirs.keys():
            yield f"{path}: orrery has keys {sorted(ours)}, naive {sorted(theirs)}"
        for key in theirs.keys() & ours.keys():
            yield from differences(f"{path}.{key}", ours[key], theirs[key])
    elif isinstance(theirs, list):
        if len(ours) != len(theirs):
            yield f"{path}: orrery has {len(ours)} items, naive {len(theirs)}"
        for i, (a, b) in enumerate(zip(ours, theirs)):
            yield from differences(f"{path}[{i}]", a, b)
    elif ours != theirs:
        yield f"{path}: orrery {ours!r}, naive {theirs!r}"


def undecided(distances):
    return any(0 < d < TOLERANCE for d in distances)


def compare(ours, theirs, offline_gaps, online_gaps, exact, tally):
    """What differs, with the tally of what was compared and what rounding leaves open."""
    found = list(differences("traces", ours["traces"], theirs["traces"]))
    tally["traces"] += len(theirs["traces"])
    margins = [m for m in (t["margin"] for t in ours["online"]["traces"]) if m is not None]
    if not exact and undecided(offline_gaps):
        tally["offline votes left open by rounding"] += 9
    else:
        tally["offline votes"] += 9
        found += differences("offline", ours["offline"], theirs["offline"])
    if not exact and (undecided(online_gaps) or undecided(margins)):
        tally["online decisions left open by rounding"] += len(theirs["online"]["traces"])
    else:
        tally["online decisions"] += len(theirs["online"]["traces"])
        found += differences("online", ours["online"], theirs["online"])
        for t in theirs["online"]["traces"]:
            tally[f"  {t['phase']}, {t['stop_reason']}, {t['excluded'] or 'votes'}"] += 1
            tally["  of them tied with s exactly"] += t["margin"] == 0
        tally[f"runs ended by {theirs['online']['stopped_by']}"] += 1
        tally[f"runs with fallback {theirs['online']['fallback']}"] += 1
    return found


def main():
    f = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    f.add_argument("--cases", type=int, default=2000)
    f.add_argument("--seed", type=int, default=1)
    f.add_argument("--orrery", help="a built program (default: go build)")
    f.add_argument("--keep", default=os.path.join(tempfile.gettempdir(), "replay-check"), help="where files that disagree go")
    args = f.parse_args()
    with tempfile.TemporaryDirectory() as temp:
        program = args.orrery
        if not program:
            program = os.path.join(temp, "orrery")
            root = pathlib.Path(__file__).resolve().parents[2]
            subprocess.run(["go", "build", "-o", program, "./cmd/orrery"], cwd=root, check=True)
        tally, bad = collections.Counter(), 0
        for i in range(args.cases):
            seed = f"{args.seed}/{i}"
            lines, flags, exact = case(random.Random(seed))
            path = os.path.join(temp, "traces.jsonl")
            pathlib.Path(path).write_text("".join(line + "\n" for line in lines), encoding="utf-8")
            done = subprocess.run([program, "replay", path, "--json", *command(flags)], capture_output=True, text=True)
            tally["files"] += 1
            tally["files of exact sums"] += exact
            if done.returncode != 0:
                found = [f"exit code {done.returncode}: {done.stderr.strip()}"]
            else:
                p = naive.flags().parse_args([path, *command(flags | {"answers": "raw"})])
                found = compare(json.loads(done.stdout), *naive.replay(lines, p), exact, tally)
            if found:
                bad += 1
                os.makedirs(args.keep, exist_ok=True)
                kept = os.path.join(args.keep, f"{args.seed}-{i}.jsonl")
                pathlib.Path(kept).write_text("".join(line + "\n" for line in lines), encoding="utf-8")
                print(f"disagree: {kept} {' '.join(command(flags))}", *found[:6], sep="\n    ")
    for name, count in tally.items():
        if not name.startswith(("  ", "runs")):
            print(f"{name:50} {count:9,}")
    for name in sorted(n for n in tally if n.startswith(("  ", "runs"))):
        print(f"  {name.strip():48} {tally[name]:9,}")
    print(f"{'files that disagree':50} {bad:9,}")
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    main()
