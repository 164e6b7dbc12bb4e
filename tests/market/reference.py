#!/usr/bin/env python3
"""A second implementation of the edge market, in plain loops, to compare `edgefuse market solve` with.

  reference.py INSTANCE.json [--u X] [--v X]     prints the outcome as JSON

Nothing here is fast or shares anything with the program: every sum is formed anew where it is needed, every pair of
exit and partition is tried, every estimate of the others is recomputed from scratch. `solve` is the entry for other
scripts; it can be given a Watch that notes every decision which rounding alone could turn.
"""
import json
import math
import os
import sys

NETWORKS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "inputs", "workloads")


class Watch:
    """Collects decisions on a knife's edge: two numbers that decide something and are nearly equal.

    exact: all numbers of the instance are short binary fractions, so that equal numbers are equal in any order of
    arithmetic and an exact tie is a fair question; otherwise equality counts as an edge like any other.
    """

    def __init__(self, exact=False):
        self.exact = exact
        self.edges = []

    def look(self, what, a, b, tolerance=1e-9):
        if a == b and (self.exact or a == 0):
            return
        if abs(a - b) <= tolerance * max(abs(a), abs(b)) < math.inf:
            self.edges.append((what, a, b))


# ---- reading ---------------------------------------------------------------------------------------------------


def get(item, key, default=None):
    """A field; absent and null are the same."""
    value = item.get(key)
    return default if value is None else value


def read_instance(path):
    """The instance with its workloads in place of their names."""
    with open(path, encoding="utf-8") as file:
        instance = json.load(file)
    folder = os.path.dirname(os.path.abspath(path))
    for k, workload in enumerate(instance["workloads"]):
        if isinstance(workload, str):
            shipped = os.path.join(NETWORKS, workload + ".json")
            with open(shipped if os.path.exists(shipped) else os.path.join(folder, workload), encoding="utf-8") as file:
                instance["workloads"][k] = json.load(file)
    return instance


# ---- demand: one forward pass ------------------------------------------------------------------------------------


def seconds(work, speed):
    """Time of some work; no work takes none, whatever the speed."""
    if work == 0:
        return 0.0
    return work / speed if speed > 0 else math.inf


def feasible_alone(user, device, watch):
    """Whether a request that never leaves the device meets deadline and rate."""
    rate = get(user, "rate", 0)
    watch.look("local time", device, user["deadline"])
    watch.look("local load", rate * device, 1)
    return device <= user["deadline"] and (rate == 0 or rate * device <= 1)


def least_speed(user, work, device, network, uplink, zero_slack, watch):
    """Least speed that does `work` in what `device` and `network` leave of the deadline; inf if there is none.

    uplink: time on the uplink, for the load alone. zero_slack: without work at the edge no slack is needed.
    """
    rate, deadline = get(user, "rate", 0), user["deadline"]
    slack = deadline - device - network
    watch.look("slack", deadline, device + network)
    if not (slack > 0 or (zero_slack and work == 0 and device + network <= deadline)):
        return math.inf
    watch.look("device load", rate * device, 1)
    watch.look("uplink load", rate * uplink, 1)
    if rate * device > 1 or rate * uplink > 1:
        return math.inf
    return 0.0 if work == 0 else max(work / slack, rate * work)


def output_bytes(workload, q):
    return workload["input_bytes"] if q == 0 else workload["layers"][q - 1]["out_bytes"]


def fixed_speed(workload, rules, user, e, q, watch):
    """Section 2: everybody leaves at exit e, the head is one more layer after its n layers."""
    n, head = workload["exits"][e]["layer"], workload["exits"][e]["head_flops"]
    h = get(user, "complexity", 1)
    flops = [layer["flops"] for layer in workload["layers"]]
    if q == n + 1:
        device = seconds(h * (sum(flops[:n]) + head), user["device_flops"])
        return 0.0 if feasible_alone(user, device, watch) else math.inf
    if q == n and head == 0:
        return math.inf
    device = seconds(h * sum(flops[:q]), user["device_flops"])
    uplink = 8 * h * output_bytes(workload, q) / user["uplink_bps"]
    work = h * (sum(flops[q:n]) + head)
    return least_speed(user, work, device, uplink + get(rules, "rtt", 0), uplink, False, watch)


def remaining(workload, leave, gone):
    """1 - the shares of the exits that `gone` accepts; exactly 0 when no other exit has a share."""
    if all(gone(e) for e in range(len(leave)) if leave[e] > 0):
        return 0.0
    left = 1.0
    for e in range(len(leave)):
        if gone(e):
            left -= leave[e]
    return left


def confidence_speed(workload, rules, user, p, q, watch):
    """Section 8: samples leave where they are sure enough; policy p says how many at each exit."""
    leave, exits = workload["policies"][p]["leave"], workload["exits"]
    h = get(user, "complexity", 1)
    device_work = edge_work = 0.0
    for l, layer in enumerate(workload["layers"], 1):
        work = remaining(workload, leave, lambda e: exits[e]["layer"] < l) * layer["flops"]
        if l <= q:
            device_work += work
        else:
            edge_work += work
    for e, here in enumerate(exits):
        work = remaining(workload, leave, lambda other: other < e) * here["head_flops"]
        if q > 0 and here["layer"] <= q:
            device_work += work
        else:
            edge_work += work
    device = seconds(h * device_work, user["device_flops"])
    reach = remaining(workload, leave, lambda e: q > 0 and exits[e]["layer"] <= q)
    if reach == 0:
        return 0.0 if feasible_alone(user, device, watch) else math.inf
    upload = 8 * h * output_bytes(workload, q) / user["uplink_bps"]
    network = reach * (upload + get(rules, "rtt", 0))
    return least_speed(user, h * edge_work, device, network, reach * upload, True, watch)


# ---- demand: autoregressive --------------------------------------------------------------------------------------


def roofline(flops, moved, speed, bandwidth):
    """Time of one piece of work: arithmetic or memory, whichever takes longer; bandwidth 0 does not bound."""
    return max(seconds(flops, speed), seconds(moved, bandwidth) if bandwidth > 0 else 0.0)


def token_paths(workload, choice):
    """[(share of tokens, layers that they run, heads that they run)], one for each way a token can go."""
    exits = workload["exits"]
    if not get(workload, "policies", []):
        return [(1.0, exits[choice]["layer"], [choice])]
    leave = workload["policies"][choice]["leave"]
    return [(leave[e], exits[e]["layer"], list(range(e + 1))) for e in range(len(exits)) if leave[e] > 0]


def tokens(workload, user, key):
    return get(user, "complexity", 1) * (get(user, key, 0) or workload[key])


def prefill(workload, first, last, prompt):
    """(FLOPs, bytes) of the prompt in layers first+1..last."""
    flops = moved = 0.0
    for layer in workload["layers"][first:last]:
        flops += prompt * layer["flops"] + get(layer, "attention_flops", 0) * prompt * (prompt + 1) / 2
        moved += get(layer, "prefill_bytes", get(layer, "weight_bytes", 0)) + get(layer, "cache_bytes", 0) * prompt
    return flops, moved


def decode(workload, first, last, heads, context):
    """(FLOPs, bytes) of one token in layers first+1..last and some heads."""
    flops = moved = 0.0
    for layer in workload["layers"][first:last]:
        flops += layer["flops"] + get(layer, "attention_flops", 0) * context
        moved += get(layer, "weight_bytes", 0) + get(layer, "cache_bytes", 0) * context
    for e in heads:
        flops += workload["exits"][e]["head_flops"]
        moved += get(workload["exits"][e], "head_bytes", 0)
    return flops, moved


def expected_times(workload, rules, user, choice, q):
    """(time on the device, time on one unit of the edge), step by step."""
    device = (user["device_flops"], get(user, "device_bytes", 0))
    unit = (get(rules, "unit_flops", 1e9), get(rules, "unit_bytes", 0))
    prompt, steps = tokens(workload, user, "prompt_tokens"), tokens(workload, user, "decode_tokens")
    paths, exits = token_paths(workload, choice), workload["exits"]
    fixed = not get(workload, "policies", [])
    deepest = max(layers for _, layers, _ in paths)
    own = min(q, deepest)

    def on_device(e):
        return q > exits[e]["layer"] if fixed else q > 0 and exits[e]["layer"] <= q

    here = roofline(*prefill(workload, 0, own, prompt), *device)
    there = roofline(*prefill(workload, own, deepest, prompt), *unit)
    for j in range(1, math.ceil(steps) + 1):
        part = min(1.0, steps - (j - 1))  # the last step of a real number counts by what is left of it
        for share, layers, heads in paths:
            near = [e for e in heads if on_device(e)]
            far = [e for e in heads if not on_device(e)]
            split = min(q, layers)
            here += part * share * roofline(*decode(workload, 0, split, near, prompt + j), *device)
            there += part * share * roofline(*decode(workload, split, layers, far, prompt + j), *unit)
    return here, there


def autoregressive_speed(workload, rules, user, choice, q, watch):
    """A prompt, then token by token: the formulas at the head of src/market/demand.h."""
    exits, rtt = workload["exits"], get(rules, "rtt", 0)
    fixed = not get(workload, "policies", [])
    if fixed:
        last = exits[choice]
        reach = 0.0 if q == last["layer"] + 1 else 1.0
        if q == last["layer"] and last["head_flops"] == 0 and get(last, "head_bytes", 0) == 0:
            return math.inf
    else:
        leave = workload["policies"][choice]["leave"]
        reach = remaining(workload, leave, lambda e: q > 0 and exits[e]["layer"] <= q)
    device, edge = expected_times(workload, rules, user, choice, q)
    if reach == 0:
        return 0.0 if feasible_alone(user, device, watch) else math.inf
    prompt, steps = tokens(workload, user, "prompt_tokens"), tokens(workload, user, "decode_tokens")
    one = 8 * output_bytes(workload, q) / user["uplink_bps"]
    network, sent = prompt * one + rtt, prompt
    if q > 0:
        network += steps * reach * (one + rtt)
        sent += steps * reach
    speed = least_speed(user, edge, device, network, sent * one, not fixed, watch)
    return speed * get(rules, "unit_flops", 1e9)


# ---- demand: the least over all pairs ----------------------------------------------------------------------------


def find_demand(workload, rules, user, watch):
    """(status or None, units, choice, partition): section 2's least resource, over every pair."""
    policies, exits = get(workload, "policies", []), workload["exits"]
    autoregressive = get(workload, "kind", "forward") == "autoregressive"
    speed_of = autoregressive_speed if autoregressive else confidence_speed if policies else fixed_speed
    pairs = []
    for choice, option in enumerate(policies or exits):
        if option["accuracy"] < user["accuracy"]:
            continue
        if not policies:
            partitions = range(option["layer"] + 2)
        else:  # to the deepest exit; token by token to the deepest that is used (demand.h)
            partitions = range(max(exit["layer"] for exit, share in zip(exits, option["leave"])
                                   if share > 0 or not autoregressive) + 1)
        for q in partitions:
            speed = speed_of(workload, rules, user, choice, q, watch)
            if speed < math.inf:
                pairs.append((speed, choice, q))
    if not pairs:
        return "infeasible", 0, None, None
    best = min(pairs)
    for other in pairs:
        if other[1:] != best[1:]:
            watch.look("two partitions", best[0], other[0], 1e-12 if not autoregressive else 1e-9)
    speed, choice, q = best
    if speed == 0:
        return "self", 0, choice, q
    units = speed / get(rules, "unit_flops", 1e9)
    if units < 1e9:  # beyond that only the public cap matters
        watch.look("units", units - 1e-9, round(units - 1e-9), 1e-10 / max(1, units))
        watch.look("units", units, round(units), 1e-12)
    return None, max(1, math.ceil(units - 1e-9)), choice, q


# ---- the auction of one market -----------------------------------------------------------------------------------


class Auction:
    """Bids and demands (user index -> number), capacity, unit cost and margin of one market; net densities r."""

    def __init__(self, bid, demand, capacity, unit_cost, margin):
        self.bid, self.demand, self.capacity = bid, demand, capacity
        self.cost, self.least = unit_cost, margin * unit_cost
        self.net = {i: bid[i] / demand[i] - unit_cost for i in bid}
        self.bidders = [i for i in bid
                        if not self.net[i] <= 0 and not self.net[i] < self.least and demand[i] <= capacity]

    def kept(self, without=None):
        """3.1: (the prefix S in order of density, floor phi), of the market without one user if so asked."""
        order = [i for i in self.bidders if i != without]
        order.sort(key=lambda i: (-(self.bid[i] / self.demand[i]), i))
        total, prefix = 0, []
        for i in order:
            if total + self.demand[i] > self.capacity:
                return prefix, max(self.net[i], self.least)
            total += self.demand[i]
            prefix.append(i)
        return prefix, max(0.0, self.least)

    def single_price(self, prefix):
        """3.2: F."""
        total, best = 0, 0.0
        for i in prefix:
            total += self.demand[i]
            best = max(best, self.net[i] * total)
        return best

    def benchmark(self, prefix):
        """3.2: F2, where one user counts for at most half of the demand."""
        total, largest, best = 0, 0, 0.0
        for i in prefix:
            total += self.demand[i]
            largest = max(largest, self.demand[i])
            best = max(best, self.net[i] * min(total, 2 * (total - largest)))
        return best

    def cost_share(self, prefix, target, watch):
        """3.4: (how many of the prefix share the target, their total demand)."""
        served, total, sold = 0, 0, 0
        for k, i in enumerate(prefix, 1):
            total += self.demand[i]
            if target > 0:
                watch.look("share", self.net[i], target / total, 1e-12)
                if self.net[i] >= target / total:
                    served, sold = k, total
        return served, sold


def estimate(value, c, u, watch):
    """3.3: the largest c^(j+u) that is at most the value."""
    if value <= 0:
        return 0.0
    j = math.floor(math.log(value) / math.log(c) - u)
    while math.pow(c, j + u) > value:
        j -= 1
    while math.pow(c, j + 1 + u) <= value:
        j += 1
    result = math.pow(c, j + u)
    for point in (result, math.pow(c, j + 1 + u)):
        watch.look("coin", value, point, 1e-12 * max(1, math.log(c)))
    return result


def core_auction(auction, variant, c, u, watch):
    """3.5, steps 4 and 5: ({winner: unit price}, kept prefix, floor, estimate of each kept user)."""
    prefix, floor = auction.kept()
    estimates, prices = [], {}
    for place, i in enumerate(prefix):
        if variant == "E":
            crowd = prefix
        elif variant == "D":
            crowd = auction.kept(without=i)[0]
        else:
            crowd = [other for other in prefix if other != i]
        target = estimate(auction.benchmark(crowd), c, u, watch)
        estimates.append(target)
        if variant == "D":
            served, sold = auction.cost_share(crowd, target, watch)
            if served > 0:
                watch.look("price", auction.net[i], target / sold, 1e-12)
                wins = auction.net[i] >= max(floor, target / sold)
        else:
            served, sold = auction.cost_share(prefix, target, watch)
            wins = place < served
        if served > 0 and wins:
            prices[i] = auction.cost + max(floor, target / sold)
    return prices, prefix, floor, estimates


def vickrey(auction, watch):
    """3.5, step 3: ({winner: unit price}, {winner: payment})."""
    total = {i: auction.bid[i] - auction.cost * auction.demand[i] for i in auction.bidders}
    order = sorted(total, key=lambda i: (-total[i], i))
    for i, other in zip(order, order[1:]):
        if (auction.bid[i], auction.demand[i]) != (auction.bid[other], auction.demand[other]):
            watch.look("total", total[i], total[other], 1e-12)
    if len(order) < 2:
        return {}, {}
    first, second = order[:2]
    demand = auction.demand[first]
    payment = max(total[second], auction.least * demand) + auction.cost * demand
    return {first: payment / demand}, {first: payment}


def clear(auction, rules, coin, users, watch):
    """Clears one market: fills in its users' results and returns its summary."""
    variant = get(rules, "variant", "T")
    prices, prefix, floor, estimates = core_auction(auction, variant, get(rules, "c", 2), coin["u"], watch)
    payments = {i: prices[i] * auction.demand[i] for i in prices}
    branch = coin["v"] < get(rules, "vickrey_prob", 0)
    if branch:
        prices, payments = vickrey(auction, watch)
    for i in auction.bid:
        if i not in auction.bidders:
            users[i]["status"] = "reserve"
        elif i in prices:
            users[i].update(status="win", unit_price=prices[i], payment=payments[i])
        else:
            users[i]["status"] = "lose" if branch or i in prefix else "pruned"
    values = sorted(set(estimates), reverse=True)
    used = sum(auction.demand[i] for i in prices)
    revenue = math.fsum(payments.values())
    return {"capacity": auction.capacity, "users": len(auction.bid), "kept": len(prefix), "floor": floor,
            "F": auction.single_price(prefix), "F2": auction.benchmark(prefix),
            "estimates": [[value, estimates.count(value)] for value in values],
            "consensus": variant != "D" and len(values) <= 1, "winners": len(prices), "used": used,
            "revenue": revenue, "profit": revenue - auction.cost * used}


# ---- the whole ---------------------------------------------------------------------------------------------------


def market_capacity(instance, provider):
    if get(instance, "mode", "per_provider") == "pooled":
        return int(instance["capacity"])
    return math.floor(get(instance["providers"][provider], "share", 1) * instance["capacity"])


def solve(instance, coin=None, watch=None):
    """The outcome of section 8 (without `seconds`). coin {u, v} stands in where the instance has none."""
    watch = watch or Watch()
    coin = {key: get(instance, key, (coin or {}).get(key)) for key in ("u", "v")}
    pooled = get(instance, "mode", "per_provider") == "pooled"
    cost, margin = get(instance, "unit_cost", 0), get(instance, "margin", 0)
    users, members = [], [[] for _ in ([None] if pooled else instance["providers"])]
    for i, user in enumerate(instance["users"]):
        workload = instance["workloads"][instance["providers"][user["provider"]]["workload"]]
        policies = get(workload, "policies", [])
        status, units, choice, q = find_demand(workload, instance, user, watch)
        if status is None:
            cap = get(instance, "max_share", 1) * market_capacity(instance, user["provider"])
            if units >= 1e9:
                watch.look("cap", units, cap)
            if units > cap:
                status = "toobig"
            else:
                members[0 if pooled else user["provider"]].append(i)
        users.append({"id": get(user, "id", i), "demand": units, "exit": None if policies else choice,
                      "policy": choice if policies else None, "partition": q, "status": status,
                      "unit_price": 0.0, "payment": 0.0})
    markets = []
    for m, member in enumerate(members):
        bid = {i: get(instance["users"][i], "bid", instance["users"][i]["value"]) for i in member}
        demand = {i: users[i]["demand"] for i in member}
        auction = Auction(bid, demand, market_capacity(instance, m), cost, margin)
        summary = clear(auction, instance, coin, users, watch)
        markets.append({"market": "pooled" if pooled else f"provider{m}", **summary})
    revenue = math.fsum(market["revenue"] for market in markets)
    income = cost * sum(market["used"] for market in markets)
    return {"markets": markets, "users": users, "coin": coin, "revenue": revenue, "profit": revenue - income,
            "infrastructure_income": income}


def main(arguments):
    coin = {"u": 0.0, "v": 0.0}
    if not arguments or len(arguments) % 2 == 0 or any(a not in ("--u", "--v") for a in arguments[1::2]):
        sys.exit("usage: reference.py INSTANCE.json [--u X] [--v X]")
    for option, text in zip(arguments[1::2], arguments[2::2]):
        coin[option[2:]] = float(text)
    print(json.dumps(solve(read_instance(arguments[0]), coin), indent=1))


if __name__ == "__main__":
    main(sys.argv[1:])
