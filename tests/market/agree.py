#!/usr/bin/env python3
"""Compares `edgefuse market solve` with reference.py, on random instances or on given files.

  EDGEFUSE_BINARY=build/edgefuse agree.py [--count N] [--seed S] [--jobs J] [--keep FOLDER] [--shrink] [FILE...]

Instance k of seed S depends on S and k alone. One line a difference; the instance is kept in FOLDER, with --shrink
without the users that do not matter. Exit code 1 on any difference, 77 if there is no program to compare with.
An instance with a decision on a knife's edge is drawn anew; half of the instances are made of short binary
fractions, where exact ties, full loads and slacks of 0 are no knife's edge and do occur.
"""
import argparse
import concurrent.futures
import json
import math
import os
import random
import subprocess
import sys
import tempfile

import reference

TOLERANCE = 1e-9  # relative, of money and estimates
DRAWS = 400       # draws of one instance until no decision is on a knife's edge
SKIP = 77


# ---- random instances --------------------------------------------------------------------------------------------


class Maker:
    """Draws one instance. exact: all numbers but the coins are short binary fractions."""

    def __init__(self, name):
        self.random = random.Random(name)
        self.exact = self.chance(0.5)
        self.scale = 2.0 ** self.random.choice([0, 0, 0, 0, -40, 60]) if self.chance(0.5) else 1.0
        self.money = 2.0 ** self.random.choice([0, 0, 0, 0, -60, 90]) if self.chance(0.5) else 1.0
        self.busy = self.chance(0.7)  # slow devices and time enough: most users come to the auction

    def chance(self, probability):
        return self.random.random() < probability

    def pick(self, *options):
        return self.random.choice(options)

    def log(self, least, most):
        """Log-uniform; in an exact instance the power of two below."""
        value = least * (most / least) ** self.random.random()
        return 2.0 ** math.floor(math.log2(value)) if self.exact else value

    def some(self, most, grain):
        """0 or a multiple of `grain`; any number up to the same bound where nothing need be exact."""
        none = 1 if self.busy and self.chance(0.9) else 0
        count = self.pick(none, 1, self.random.randint(1, 3), self.random.randint(1, most))
        return count * grain if self.exact or self.chance(0.2) else self.random.uniform(0, count) * grain

    def maybe(self, item, key, value, default, probability=0.5):
        """Sets an optional field; a default may be left out or be null."""
        if value != default or self.chance(probability):
            item[key] = value
        elif self.chance(0.2):
            item[key] = None

    # ---- workloads

    def workload(self):
        tokens = self.chance(0.3)
        item = {"name": self.pick("net", ""), "layers": [], "exits": []}
        item["input_bytes"] = self.some(40, self.pick(2.0**10, 2.0**13))
        self.maybe(item, "kind", "autoregressive" if tokens else "forward", "forward")
        depth = self.random.randint(1, 7)
        for l in range(depth):
            layer = {"name": f"layer{l}", "flops": self.scale * self.some(64, 2.0**22),
                     "out_bytes": self.some(40, 2.0**10)}
            if tokens:
                self.tokens_of_layer(layer)
            item["layers"].append(layer)
        places = sorted(self.random.randint(0, depth) for _ in range(self.random.randint(1, 4)))
        for place in places:
            head = {"layer": place, "head_flops": self.pick(0, 1, 1) * self.scale * self.some(32, 2.0**21),
                    "accuracy": self.random.randint(1, 20) / 4}
            if tokens and self.chance(0.7):
                head["head_bytes"] = self.some(32, 2.0**12)
            item["exits"].append(head)
        if self.chance(0.7):
            item["exits"].sort(key=lambda head: (head["layer"], head["accuracy"]))
        if tokens:
            item["prompt_tokens"] = self.random.randint(1, 12)
            item["decode_tokens"] = self.random.randint(1, 12) + self.pick(0, 0, 0.5)
        if self.chance(0.5):
            item["policies"] = [self.policy(len(places)) for _ in range(self.random.randint(1, 4))]
        elif self.chance(0.3):
            item["policies"] = []
        return item

    def tokens_of_layer(self, layer):
        layer["flops"] /= 8
        layer["out_bytes"] /= 8
        for key, grain in (("attention_flops", self.scale * 2.0**12), ("weight_bytes", 2.0**14),
                           ("prefill_bytes", 2.0**15), ("cache_bytes", 2.0**8)):
            if key == "weight_bytes" or self.chance(0.8):
                layer[key] = self.some(32, grain)

    def plain(self, unit):
        """One layer and nothing to send: with a deadline of 1 s it takes a hair more or less than whole units."""
        flops = unit * (self.random.randint(1, 5) + self.pick(0, 2.0**-31, 2.0**-29, -(2.0**-31)))
        return {"name": "plain", "input_bytes": 0, "layers": [{"name": "all", "flops": flops, "out_bytes": 0}],
                "exits": [{"layer": 1, "head_flops": 0, "accuracy": 1}]}

    def policy(self, exits):
        """Shares that sum to 1: eighths, or any; some exits unused, the deepest ones too."""
        shares = [0] * exits
        used = [e for e in range(exits) if self.chance(0.7)] or [self.random.randrange(exits)]
        for _ in range(8):
            shares[self.random.choice(used)] += 1 if self.exact or self.chance(0.3) else self.random.random()
        total = sum(shares)
        return {"threshold": self.random.random(), "accuracy": self.random.randint(1, 20) / 4,
                "leave": [share / total for share in shares]}

    # ---- users

    def user(self, instance, index, names):
        provider = self.random.randrange(len(instance["providers"]))
        workload = instance["workloads"][instance["providers"][provider]["workload"]]
        accuracies = [x["accuracy"] for x in workload.get("policies") or workload["exits"]]
        item = {"provider": provider,
                "accuracy": self.random.choice(accuracies) + self.pick(0, 0, -0.25, -0.25, 0.25, -9),
                "deadline": self.some(96, 1 / 16) * self.pick(1, 1, 4) or 0.25,
                "device_flops": self.pick(0, 1, 1, 1, 1, 1) * self.scale * self.log(2.0**22, 2.0**27),
                "uplink_bps": self.log(2.0**18, 2.0**25)}
        if workload["input_bytes"] == 0 and self.chance(0.5):
            item["deadline"] = 1
        if self.busy and item["deadline"] != 1:
            item["deadline"] += self.pick(2, 4, 8)
            item["device_flops"] /= self.pick(1, 4, 16, 64)
        if names == "text":
            item["id"] = f"user {index} \u00e9\""
        elif names == "number":
            item["id"] = 7 * index + 3
        if self.chance(0.6):
            item["complexity"] = self.pick(1, 2, 0.5, 1.5) if self.exact else self.random.uniform(0.2, 3)
        if self.chance(0.5):
            item["rate"] = self.pick(0, 0.25, 1, 4) if self.exact else self.pick(0, self.log(0.1, 5))
        if workload.get("kind") == "autoregressive":
            item["device_flops"] *= self.pick(1, 8)
            if self.chance(0.4):
                item["device_bytes"] = self.pick(0, self.log(2.0**15, 2.0**22))
            if self.chance(0.3):
                item["prompt_tokens"] = self.random.randint(1, 16)
            if self.chance(0.3):
                item["decode_tokens"] = self.pick(1, 3.25, 9)
        return item

    def bids(self, instance, demands):
        """Values and bids; densities often tie, one bidder may dwarf the rest, some stay below cost."""
        style = self.pick("density", "density", "integer", "spread", "spread", "equal")
        for user, demand in zip(instance["users"], demands):
            size = min(max(demand, 1), 2**40)
            if style == "density":
                bid = size * self.random.randint(0 if self.chance(0.1) else 1, 12) / 4
            elif style == "integer":
                bid = self.random.randint(0, 20)
            elif style == "equal":
                bid = 3.0
            else:
                bid = size**0.85 * math.exp(self.random.gauss(0, 0.8))
            if self.chance(0.02):
                bid *= 1000
            user["value"] = bid * self.money
            if self.chance(0.3):
                user["bid"] = user["value"] * self.pick(0, 0.5, 1, 2)

    # ---- the whole

    def instance(self):
        item = {"schema": "aeria-market/1", "unit_flops": self.scale * 2.0 ** self.pick(*[20, 22, 26] * 10, -20, -200),
                "capacity": 2**40}
        if self.scale == 1 and not self.exact and self.chance(0.4):
            del item["unit_flops"]  # then 1e9, by which nothing divides exactly
        self.maybe(item, "variant", self.pick("T", "T", "E", "D", "D"), "T")
        self.maybe(item, "mode", self.pick("per_provider", "pooled"), "per_provider")
        self.maybe(item, "rtt", self.pick(0, 1 / 128, 1 / 32), 0)
        self.maybe(item, "unit_bytes", self.pick(0, self.log(2.0**12, 2.0**20)), 0)
        self.coins(item)
        item["workloads"] = [self.workload() for _ in range(self.random.randint(1, 3))]
        if self.exact and self.chance(0.2) and "unit_flops" in item:
            item["workloads"].append(self.plain(item["unit_flops"]))
        item["providers"] = [{"workload": self.random.randrange(len(item["workloads"]))}
                             for _ in range(self.pick(1, 1, 2, 3, 4))]
        names = self.pick("none", "text", "number")
        crowds = [(0, 2), (3, 3), (2, 9)] + [(15, 60)] * 5
        count = self.random.randint(*self.pick(*crowds))
        item["users"] = []
        for i in range(count):
            if item["users"] and self.chance(0.2):  # the same again: equal demands
                item["users"].append({k: v for k, v in self.random.choice(item["users"]).items() if k != "id"})
                if names != "none":
                    item["users"][-1]["id"] = f"copy{i}" if names == "text" else 7 * i + 3
            else:
                item["users"].append(self.user(item, i, names))
        self.scarcity(item)
        return item

    def coins(self, item):
        if self.chance(0.3):
            c, u = self.pick((2, 0.0), (4, 0.0), (4, 0.5), (16, 0.75))  # the grid meets powers of two
        else:
            ranges = [(1.0005, 1.02), (1.01, 1.1), (1.1, 1.5), (1.5, 8), (8, 1000)]
            c, u = self.random.uniform(*self.pick(*ranges, (2, 2))), self.random.random()
        self.maybe(item, "c", c, 2)
        if self.chance(0.9):
            item["u"] = u
        if self.chance(0.9):
            item["v"] = self.random.random()
        self.maybe(item, "vickrey_prob", self.pick(0, 0, 0.3, 0.5906, 0.9), 0)

    def shares(self, item, demands):
        """Shares by chance or by what is asked for, at times with some of the capacity left to nobody."""
        providers = item["providers"]
        if len(providers) == 1 and self.chance(0.5):
            return
        parts = [self.random.randint(0 if self.chance(0.1) else 1, 8) for _ in providers]
        if self.chance(0.7):
            for user, demand in zip(item["users"], demands):
                parts[user["provider"]] += min(demand, 2**40)
        unused = self.pick(0, 0, sum(parts) / 3)
        for k, provider in enumerate(providers):
            provider["share"] = parts[k] / max(sum(parts) + unused, 1) * (1 - 1e-12)
            if self.chance(0.3):
                provider["id"] = self.pick(f"provider {k}", 10 + k)

    def scarcity(self, item):
        """Capacity, cap and costs, from the demands."""
        demands = []
        for user in item["users"]:
            workload = item["workloads"][item["providers"][user["provider"]]["workload"]]
            demands.append(reference.find_demand(workload, item, user, reference.Watch(True))[1])
        self.shares(item, demands)
        self.bids(item, demands)
        counted = sorted(demand for demand in demands if 0 < demand < 2**40) or [1]
        usual = counted[len(counted) // 2]
        total = sum(min(demand, 16 * usual) for demand in counted)
        least = self.pick(0, 4, 8) * usual * len(item["providers"])
        item["capacity"] = int(min(max(least, total * self.pick(0.1, 0.3, 0.5, 0.7, 0.9, 1, 1.2, 3)), 2**50))
        if self.chance(0.05):
            item["capacity"] = self.random.randint(0, 3)
        if item.get("unit_flops", 1) < self.scale:  # nearly everybody is too big
            item["capacity"] = min(item["capacity"], 2**26)
        elif self.chance(0.2):
            item["capacity"] = float(item["capacity"])
        self.maybe(item, "max_share", self.pick(1, 1, 1, 0.75, 0.5, 0.2), 1)
        density = sorted(user["value"] / max(demand, 1) for user, demand in zip(item["users"], demands)) or [1]
        cost = max(density[len(density) // 2], 2.0**-200)
        cost = self.pick(0, 0, 0.125, 0.25, 0.5, 1) * 2.0 ** math.floor(math.log2(cost))
        self.maybe(item, "unit_cost", cost if self.exact or self.chance(0.3) else cost * self.random.random(), 0)
        self.maybe(item, "margin", self.pick(0, 0, 0.25, 1, 2), 0)


def make(name):
    """(instance, exact) without a decision on a knife's edge under its coins."""
    for draw in range(DRAWS):
        maker = Maker(f"{name}/{draw}")
        instance = maker.instance()
        watch = reference.Watch(maker.exact)
        reference.solve(instance, {"u": 0.5, "v": 0.5}, watch)
        if not watch.edges:
            return instance, maker.exact
    raise RuntimeError(f"{name}: every draw is on a knife's edge")


# ---- comparison --------------------------------------------------------------------------------------------------


def near(a, b, scale=0.0):
    return abs(a - b) <= TOLERANCE * max(abs(a), abs(b), scale)


def same_units(a, b):
    """Demands are equal; beyond 10^9 units, where only the cap matters, to the tolerance; 64 bits saturate."""
    return a == b or (a > 1e9 and (near(a, b) or (a >= 2**63 - 1 and b >= 2**63 - 1)))


def compare_users(wanted, got):
    if len(wanted) != len(got):
        yield f"{len(got)} users, not {len(wanted)}"
    for i, (a, b) in enumerate(zip(wanted, got)):
        for key in ("id", "status", "exit", "policy", "partition"):
            if a[key] != b.get(key):
                yield f"users[{i}].{key}: {b.get(key)!r}, not {a[key]!r}"
        if not same_units(a["demand"], b["demand"] or 0):
            yield f"users[{i}].demand: {b['demand']}, not {a['demand']}"
        for key in ("unit_price", "payment"):
            if not near(a[key], b[key]):
                yield f"users[{i}].{key}: {b[key]!r}, not {a[key]!r}"


def compare_markets(wanted, got):
    if len(wanted) != len(got):
        yield f"{len(got)} markets, not {len(wanted)}"
    for m, (a, b) in enumerate(zip(wanted, got)):
        for key in ("market", "capacity", "users", "kept", "consensus", "winners", "used"):
            if a[key] != b[key]:
                yield f"markets[{m}].{key}: {b[key]!r}, not {a[key]!r}"
        for key in ("floor", "F", "F2", "revenue", "profit"):
            if not near(a[key], b[key], a["revenue"] if key == "profit" else 0):
                yield f"markets[{m}].{key}: {b[key]!r}, not {a[key]!r}"
        pairs = list(zip(a["estimates"], b["estimates"]))
        if len(a["estimates"]) != len(b["estimates"]) or any(x[1] != y[1] or not near(x[0], y[0]) for x, y in pairs):
            yield f"markets[{m}].estimates: {b['estimates']}, not {a['estimates']}"


def compare(wanted, got):
    """Lines, one a difference, between two outcomes."""
    yield from compare_users(wanted["users"], got["users"])
    yield from compare_markets(wanted["markets"], got["markets"])
    for key in ("revenue", "profit", "infrastructure_income"):
        if not near(wanted[key], got[key], wanted["revenue"]):
            yield f"{key}: {got[key]!r}, not {wanted[key]!r}"


def check(path, exact):
    """(differences, whether the instance decided anything) of one file."""
    program = os.environ["EDGEFUSE_BINARY"]
    done = subprocess.run([program, "market", "solve", path, "--json"], capture_output=True, text=True, timeout=120,
                          check=False)
    if done.returncode != 0:
        return [f"exit code {done.returncode}: {done.stderr.strip()[-300:]}"], True
    got = json.loads(done.stdout)
    if not all(0 <= got["coin"][key] < 1 for key in ("u", "v")):
        return [f"coin: {got['coin']}"], True
    watch = reference.Watch(exact)
    wanted = reference.solve(reference.read_instance(path), got["coin"], watch)
    if wanted["coin"] != got["coin"]:
        return [f"coin: {got['coin']}, not {wanted['coin']}"], True
    if watch.edges:
        return [], False
    return list(compare(wanted, got)), True


def shrink(path, exact):
    """Drops users from the file as long as any difference remains; returns the differences."""
    left = check(path, exact)[0]
    with open(path, encoding="utf-8") as file:
        instance = json.load(file)
    for i in reversed(range(len(instance["users"]))):
        users = instance["users"]
        instance["users"] = users[:i] + users[i + 1:]
        write(path, instance)
        fewer = check(path, exact)[0]
        if fewer:
            left = fewer
        else:
            instance["users"] = users
    write(path, instance)
    return left


def write(path, instance):
    with open(path, "w", encoding="utf-8") as file:
        json.dump(instance, file, indent=1)


def trial(seed, number, keep, shrinking):
    """(differences, decided, tally) of one random instance; a file is left in `keep` if it differs."""
    name = f"{seed}/{number}"
    instance, exact = make(name)
    with tempfile.TemporaryDirectory(prefix="edgefuse-agree-") as folder:
        path = os.path.join(folder, "instance.json")
        write(path, instance)
        lines, decided = check(path, exact)
        if lines:
            if shrinking:
                lines = shrink(path, exact)
                with open(path, encoding="utf-8") as file:
                    instance = json.load(file)
            os.makedirs(keep, exist_ok=True)
            kept = os.path.join(keep, f"seed{seed}_{number}{'_exact' if exact else ''}.json")
            write(kept, instance)
            lines = [f"seed {seed} instance {number} ({kept}): {line}" for line in lines]
    return lines, decided, len(instance["users"])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("files", nargs="*", metavar="FILE")
    parser.add_argument("--count", type=int, default=0)
    parser.add_argument("--first", type=int, default=0, help="number of the first instance")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--keep", default="market_reference")
    parser.add_argument("--shrink", action="store_true")
    options = parser.parse_args()
    if not os.access(os.environ.get("EDGEFUSE_BINARY", ""), os.X_OK):
        print("skipped: EDGEFUSE_BINARY names no program")
        return SKIP
    compared = undecided = users = different = 0
    with concurrent.futures.ProcessPoolExecutor(options.jobs) as pool:
        work = [pool.submit(trial, options.seed, k, options.keep, options.shrink)
                for k in range(options.first, options.first + options.count)]
        for path in options.files:
            lines, decided = check(path, path.endswith("_exact.json"))
            work.append(concurrent.futures.Future())
            work[-1].set_result(([f"{path}: {line}" for line in lines], decided, 0))
        for item in work:
            lines, decided, count = item.result()
            compared, undecided, users = compared + decided, undecided + (not decided), users + count
            different += bool(lines)
            for line in lines:
                print(line)
    print(f"{compared} instances compared, {different} differ, {undecided} undecided; {users} random users")
    return 1 if different or compared == 0 else 0


if __name__ == "__main__":
    sys.exit(main())
