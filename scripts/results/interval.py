"""Means, intervals and the gap that is closed: plain functions of numbers.

Scores are of documents: the sum of the negative log-likelihood (nat) and the tokens that were scored. A document is
the unit that is resampled; its parts in runs of several seeds stay together, for they are not independent.
"""
import math

import numpy as np

RESAMPLES = 10000
SEED = 1
LEVEL = 0.95
BLOCK = 1000  # resamples at a time


def pooled(nll, tokens):
    """Log-perplexity of all documents: sum of nll over sum of tokens."""
    total = float(np.sum(tokens))
    return float(np.sum(nll)) / total if total > 0 else math.nan


def pair(runs):
    """Sums by document over seeds of (documents a, documents b), for runs that scored the same tokens.

    runs: list of two mappings document -> (nll, tokens). Returns arrays nll of a, nll of b, tokens, ordered by
    document; None if the two of a seed did not score the same tokens of the same documents.
    """
    sums = {}
    for a, b in runs:
        if a.keys() != b.keys() or any(a[d][1] != b[d][1] for d in a):
            return None
        for document, (nll, tokens) in a.items():
            row = sums.setdefault(document, [0.0, 0.0, 0])
            row[0] += nll
            row[1] += b[document][0]
            row[2] += tokens
    rows = np.array([sums[document] for document in sorted(sums)], dtype=float)
    return (rows[:, 0], rows[:, 1], rows[:, 2]) if len(rows) else None


def difference(nll_a, nll_b, tokens, resamples=RESAMPLES, seed=SEED):
    """(a - b, low, high): difference of pooled log-perplexities and its paired-bootstrap interval.

    Documents are drawn with replacement, as many as there are; the same draw serves a and b.
    """
    count = len(tokens)
    if count == 0 or np.sum(tokens) <= 0:
        return math.nan, math.nan, math.nan
    apart = np.asarray(nll_a, dtype=float) - np.asarray(nll_b, dtype=float)
    tokens = np.asarray(tokens, dtype=float)
    random = np.random.Generator(np.random.PCG64(seed))
    drawn = np.empty(resamples)
    for first in range(0, resamples, BLOCK):
        size = min(BLOCK, resamples - first)
        times = random.multinomial(count, np.full(count, 1.0 / count), size=size)
        weight = times @ tokens
        safe = np.where(weight > 0, weight, 1.0)
        drawn[first:first + size] = np.where(weight > 0, (times @ apart) / safe, np.nan)
    drawn = drawn[np.isfinite(drawn)]  # a draw of empty documents alone says nothing
    low, high = np.quantile(drawn, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(np.sum(apart) / np.sum(tokens)), float(low), float(high)


def gap_closed(public_only, method, central):
    """(public_only - method) / (public_only - central); NaN where central is no better than public_only."""
    gap = public_only - central
    return (public_only - method) / gap if gap > 0 else math.nan


def wilson(share, items):
    """95 % interval of a share of `items` independent items (Wilson's score interval)."""
    if items <= 0 or not math.isfinite(share):
        return math.nan, math.nan
    z = 1.959963984540054
    middle = share + z * z / (2 * items)
    half = z * math.sqrt(share * (1 - share) / items + z * z / (4 * items * items))
    scale = 1 + z * z / items
    return (middle - half) / scale, (middle + half) / scale


def mean(values):
    """Mean of the finite values; NaN if there is none."""
    finite = [value for value in values if value is not None and math.isfinite(value)]
    return sum(finite) / len(finite) if finite else math.nan
