#!/usr/bin/env python3
"""An independent, naive DeepConf replay: the definitions of arXiv 2508.15260 written out, O(n·W), no shared code.

It reads the JSONL that `orrery replay` reads and prints the same JSON, for answers compared as stripped strings
(`--answers raw`). Every mean is math.fsum over its terms divided by their number, so it is correctly rounded in its
sum and depends on nothing that came before; only the standard library is used. check.py compares the two programs.

    ./naive.py TRACES.jsonl --window 8 --eta 10 --warmup 4
"""
import argparse
import json
import math
import sys

MEASURES = ("mean", "lowest_group", "bottom10", "tail")


def token_confidence(top, k, floor):
    """C = −mean of the k greatest entries, each clamped to [floor, 0]; None when no entry is a number."""
    entries = [x for x in top if x is not None and not math.isnan(x) and x != math.inf]
    entries = sorted((min(0.0, max(floor, x)) for x in entries), reverse=True)[:k]
    return -math.fsum(entries) / len(entries) + 0.0 if entries else None


def groups(scored, window):
    """Every window of W consecutive confidences; the plain mean alone when there are fewer than W."""
    if not scored:
        return []
    if len(scored) < window:
        return [math.fsum(scored) / len(scored)]
    return [math.fsum(scored[i:i + window]) / window for i in range(len(scored) - window + 1)]


def measure(scored, window, tail):
    if not scored:
        return dict.fromkeys(MEASURES)
    g = groups(scored, window)
    low = sorted(g)[:max(1, len(g) // 10)]
    last = scored[-min(len(scored), tail):]
    return {
        "mean": math.fsum(scored) / len(scored),
        "lowest_group": min(g),
        "bottom10": math.fsum(low) / len(low),
        "tail": math.fsum(last) / len(last),
    }


def percentile(values, p):
    x = sorted(values)
    h = (len(x) - 1) * p / 100
    lo = math.floor(h)
    return x[lo] if lo == len(x) - 1 else x[lo] + (h - lo) * (x[lo + 1] - x[lo])


class Ballot:
    """V(a) in launch order. runner_up is the greatest V of another class: a gap below rounding leaves the winner open."""

    def __init__(self, voters):  # voters: (answer, weight) in launch order
        self.weight, self.count = {}, {}
        for answer, weight in voters:
            self.weight[answer] = self.weight.get(answer, 0.0) + weight
            self.count[answer] = self.count.get(answer, 0) + 1
        self.winner = self.runner_up = None
        if self.weight:
            score = self.weight if any(self.weight.values()) else self.count
            best = max(score.values())
            self.winner = next(a for a in score if score[a] == best)  # a dict remembers who came first
            self.runner_up = max((score[a] for a in score if a != self.winner), default=None)
            self.best = best

    def beta(self):
        total = math.fsum(self.weight.values())
        return self.weight[self.winner] / total if total > 0 else None

    def gap(self):
        """How far the second class is. Sums of rounded weights that are equal here need not be so elsewhere: never 0."""
        return math.inf if self.runner_up is None else max(self.best - self.runner_up, sys.float_info.min)


def read(lines, k, floor):
    traces = []
    for line in lines:
        if not line.strip():
            continue
        record = json.loads(line)
        answer = record.get("answer")
        answer = answer.strip() if answer is not None else None
        traces.append({
            "id": record["id"],
            "answer": answer or None,
            "tokens": [token_confidence(t.get("top") or [], k, floor) for t in record["tokens"]],
        })
    return traces


def scored_of(tokens):
    return [c for c in tokens if c is not None]


def offline(traces, measures, eta, gaps):
    def ballot(voters, weight):
        b = Ballot([(t["answer"], weight(t)) for t in voters])
        if any(weight(t) % 1 for t in voters):  # whole numbers add up exactly
            gaps.append(b.gap())
        return {"answer": b.winner, "V": b.weight}

    answered = [t for t in traces if t["answer"] is not None]
    out = {"majority": ballot(answered, lambda t: 1.0) | {"voters": [t["id"] for t in answered]}, "weighted": {}, "filtered": {}}
    scored = [t for t in answered if measures[t["id"]]["mean"] is not None]
    for name in MEASURES:
        weight = lambda t: measures[t["id"]][name]
        out["weighted"][name] = ballot(scored, weight) | {"voters": [t["id"] for t in scored]}
        threshold = percentile([weight(t) for t in scored], 100 - eta) if scored else None
        kept = [t for t in scored if weight(t) >= threshold]
        gaps.extend(abs(weight(t) - threshold) for t in scored)
        out["filtered"][name] = {"threshold": threshold, "kept": [t["id"] for t in kept]} | ballot(kept, weight)
    return out


def run_trace(tokens, window, s, room):
    """One trace that may use `room` tokens: (stop_reason, tokens used). s is None where nothing may stop it."""
    seen = []
    for i, c in enumerate(tokens, 1):
        if i > room:
            return "token_budget", room
        if c is None:
            continue
        seen.append(c)
        if s is not None and len(seen) >= window and math.fsum(seen[-window:]) / window < s:
            return "low_confidence", i
    return "completed", len(tokens)


# What a vote without voters falls back to. A stopped trace has an answer that is known here only if it was stopped at
# its very last token: the file says nothing about texts.
LADDER = (
    ("completed_warmups", lambda r: r["stop_reason"] == "completed" and r["phase"] == "warmup"),
    ("completed_others", lambda r: r["stop_reason"] == "completed" and r["phase"] == "final"),
    ("killed", lambda r: r["stop_reason"] == "low_confidence" and r["tokens_used"] == r["length"]),
    ("no_answer", lambda r: False),
)


def online(traces, p, window, gaps):
    planned = traces[:p.budget] if p.budget else traces  # the run knows of no others
    warmups = 0 if p.threshold is not None else min(p.warmup, len(planned))
    room = p.token_budget if p.token_budget else math.inf
    s, calibrated = p.threshold, p.threshold is not None
    launched, betas, stopped_by = [], [], None

    def judge(r):
        """Step 3, for a trace that completed."""
        if r["stop_reason"] == "low_confidence":
            return "low_confidence"
        if r["stop_reason"] == "token_budget":
            return "cancelled"
        if r["answer"] is None:
            return "no_answer"
        if r["lowest_group"] is None:
            return "unscored"
        if s is not None and r["lowest_group"] < s:
            return "below_threshold"
        return None

    def voters():
        return [r for r in launched if judge(r) is None]

    def evaluate():
        """Step 6: True when the run is to end."""
        v = voters()
        b = Ballot([(r["answer"], r["lowest_group"]) for r in v])
        betas.append(b.beta() if v else None)
        if betas[-1] is None:
            return False
        if not p.no_consensus and len(b.weight) > 1:  # one class alone has exactly 1
            gaps.append(max(abs(betas[-1] - p.tau), sys.float_info.min))
        return not p.no_consensus and betas[-1] >= p.tau and len(v) >= p.min_votes

    def launch(t, phase):
        nonlocal room
        reason, used = run_trace(t["tokens"], window, s if phase == "final" else None, room)
        room -= used
        seen = scored_of(t["tokens"][:used])
        g = groups(seen, window)
        launched.append({"id": t["id"], "phase": phase, "answer": t["answer"], "stop_reason": reason, "tokens_used": used,
                         "length": len(t["tokens"]), "stop_token": used if reason != "completed" else None, "groups": g,
                         "lowest_group": min(g) if g else None})
        return reason

    for t in planned[:warmups]:
        if room <= 0 or launch(t, "warmup") == "token_budget":
            stopped_by = "token_budget"
            break
    if stopped_by is None and warmups:
        calibrated = True
        lowest = [r["lowest_group"] for r in launched if r["lowest_group"] is not None]
        s = percentile(lowest, 100 - p.eta) if lowest else None
        if evaluate():
            stopped_by = "consensus"
    if stopped_by is None:
        for t in planned[warmups:]:
            if room <= 0:
                stopped_by = "token_budget"
                break
            reason = launch(t, "final")
            if reason == "token_budget":
                stopped_by = "token_budget"
                break
            if reason == "completed" and evaluate():
                stopped_by = "consensus"
                break
    if stopped_by is None:
        stopped_by = "budget" if p.budget and len(planned) == p.budget else "exhausted"

    chosen, fallback = voters(), None
    for label, rung in LADDER:
        if chosen:
            break
        fallback = label
        chosen = [r for r in launched if r["answer"] is not None and rung(r)]
        if any(r["lowest_group"] is not None for r in chosen):  # unscored ones count only where nothing better is
            chosen = [r for r in chosen if r["lowest_group"] is not None]
    b = Ballot([(r["answer"], r["lowest_group"] or 0.0) for r in chosen])
    gaps.append(b.gap())

    rows = []
    for r in launched:
        why = judge(r)
        margin = min((abs(g - s) for g in r["groups"]), default=None) if s is not None else None
        if margin is not None:
            gaps.append(margin)
        rows.append({"id": r["id"], "phase": r["phase"], "stop_reason": r["stop_reason"], "stop_token": r["stop_token"],
                     "tokens_used": r["tokens_used"], "lowest_group": r["lowest_group"], "votes": why is None, "excluded": why,
                     "weight": r["lowest_group"] if why is None else None, "margin": margin})
    full = sum(len(t["tokens"]) for t in planned)
    used = sum(r["tokens_used"] for r in launched)
    return {"s": s, "traces": rows, "not_launched": [t["id"] for t in planned[len(launched):]], "beta": betas,
            "stopped_by": stopped_by, "tokens_used": used, "tokens_if_all_full": full, "tokens_saved": full - used,
            "answer": b.winner, "fallback": fallback, "V": b.weight, "counts": b.count}


def auto_window(traces, p):
    """After warm-up, W = clamp(median warm-up length / 8, 32, 2048), lengths in scored tokens. No warm-up: 2048."""
    lengths, room = [], p.token_budget or math.inf
    for t in traces[:min(p.warmup, p.budget or p.warmup)]:
        if room <= 0 or len(t["tokens"]) > room:
            return 2048
        room -= len(t["tokens"])
        lengths.append(len(scored_of(t["tokens"])))
    lengths = sorted(n for n in lengths if n > 0)
    if not lengths:
        return 2048
    median = (lengths[(len(lengths) - 1) // 2] + lengths[len(lengths) // 2]) / 2
    return min(2048, max(32, int(median / 8)))


def replay(lines, p):
    """The whole report, and the distances by which its offline and its online decisions were made. A distance of exactly
    0 is a tie, which the definitions decide; one in (0, 1e-9) is within what rounding may turn."""
    traces = read(lines, p.k, p.floor)
    window = auto_window(traces, p) if p.window == "auto" else int(p.window)
    tail = p.tail or window
    measures, rows = {}, []
    for t in traces:
        scored = scored_of(t["tokens"])
        measures[t["id"]] = measure(scored, window, tail)
        rows.append({"id": t["id"], "answer": t["answer"], "tokens": len(t["tokens"]), "scored_tokens": len(scored)} | measures[t["id"]])
    offline_gaps, online_gaps = [], []
    report = {"version": 1, "params": {"window": window, "tail": tail, "k": p.k, "eta": p.eta, "warmup": p.warmup, "floor": p.floor},
              "traces": rows, "offline": offline(traces, measures, p.eta, offline_gaps),
              "online": online(traces, p, window, online_gaps)}
    return report, offline_gaps, online_gaps


def flags():
    f = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    f.add_argument("traces")
    f.add_argument("--window", default="2048")
    f.add_argument("--tail", type=int, default=0)
    f.add_argument("--k", type=int, default=20)
    f.add_argument("--eta", type=float, default=10.0)
    f.add_argument("--warmup", type=int, default=16)
    f.add_argument("--tau", type=float, default=0.95)
    f.add_argument("--budget", type=int, default=0)
    f.add_argument("--token-budget", type=int, default=0)
    f.add_argument("--min-votes", type=int, default=2)
    f.add_argument("--no-consensus", action="store_true")
    f.add_argument("--threshold", type=float)
    f.add_argument("--floor", type=float, default=-100.0)
    f.add_argument("--answers", choices=["raw"], default="raw")
    f.add_argument("--json", action="store_true")
    return f


def main():
    p = flags().parse_args()
    with sys.stdin if p.traces == "-" else open(p.traces, encoding="utf-8") as f:
        print(json.dumps(replay(f, p)[0], indent=2, ensure_ascii=False))


if __name__ == "__main__":
    main()
