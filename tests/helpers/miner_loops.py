"""For every miner a slow loop that says which pairs or triplets it has to yield.

A loop gets the miner for its parameters, the embeddings as a list of rows and the labels as a list
of ints, and returns a set: of triplets, or a set of positive and one of negative pairs.
"""

import math

import torch

from helpers.loss_loops import cos, dist, negatives, pairs, positive_pairs, positives, sq, triplets


def window_triplets(X, y, low, high, d=sq):
    return {t for t in triplets(y) if low < d(X[t[0]], X[t[2]]) - d(X[t[0]], X[t[1]]) < high}


def all_triplets(miner, X, y):
    return set(triplets(y))


def semi_hard(miner, X, y):
    margin = 0.2 if miner.margin is None else miner.margin
    return window_triplets(X, y, 0, margin, dist if miner.squared is False else sq)


def hard(miner, X, y):
    return window_triplets(X, y, -torch.inf, 0)


def batch_hard(miner, X, y):
    return {
        (
            a,
            max(positives(y, a), key=lambda j: dist(X[a], X[j])),
            min(negatives(y, a), key=lambda j: dist(X[a], X[j])),
        )
        for a in range(len(y))
        if positives(y, a) and negatives(y, a)
    }


def easy_positive(miner, X, y):
    chosen = set()
    for a in range(len(y)):
        if not positives(y, a):
            continue
        p = min(positives(y, a), key=lambda j: dist(X[a], X[j]))
        far = [
            n
            for n in negatives(y, a)
            if miner.negative == "hard" or dist(X[a], X[n]) > dist(X[a], X[p])
        ]
        if far:
            chosen.add((a, p, min(far, key=lambda j: dist(X[a], X[j]))))
    return chosen


def multi_similarity_pairs(miner, X, y):
    kept = set(), set()
    for i in range(len(y)):
        own = {p: cos(X[i], X[p]) for p in positives(y, i)}
        rest = {n: cos(X[i], X[n]) for n in negatives(y, i)}
        if own and rest:
            kept[0].update((i, p) for p, s in own.items() if s - miner.epsilon < max(rest.values()))
            kept[1].update((i, n) for n, s in rest.items() if s + miner.epsilon > min(own.values()))
    return kept


def pair_margin(miner, X, y):
    near = {(i, j) for i, j in positive_pairs(y) if dist(X[i], X[j]) > miner.positive_margin}
    far = {(i, j) for i, j in pairs(y) if y[i] != y[j] and dist(X[i], X[j]) < miner.margin}
    return near, far


def hdc(miner, X, y):
    def hardest(chosen, sign):
        ranked = sorted(chosen, key=lambda pair: sign * float(dist(X[pair[0]], X[pair[1]])))
        return set(ranked[: math.ceil(miner.fraction * len(ranked))])

    return hardest(positive_pairs(y), -1), hardest([(i, j) for i, j in pairs(y) if y[i] != y[j]], 1)


def angular(miner, X, y):
    def angle(a, p, n):
        middle = (X[a] + X[p]) / 2
        return math.degrees(math.atan(float(dist(X[a], X[p]) / (2 * dist(X[n], middle)))))

    return {t for t in triplets(y) if angle(*t) > miner.angle}


def easy_hard(miner, X, y):
    def d(i, j):
        return float(sq(X[i], X[j]))

    def chosen(a, rows, strategy, easy):
        """The rows that a strategy takes; ``easy`` says which end is easy."""
        if strategy == "all" or not rows:
            return rows
        end = easy if strategy == "easy" else {min: max, max: min}[easy]
        return [end(rows, key=lambda j: d(a, j))]

    found = set()
    for a in range(len(y)):
        P, N = positives(y, a), negatives(y, a)
        if miner.positive == "semi_hard":
            for n in chosen(a, N, miner.negative, max):
                nearer = [p for p in P if d(a, p) < d(a, n)]
                found.update((a, p, n) for p in chosen(a, nearer, "hard", min))
            continue
        for p in chosen(a, P, miner.positive, min):
            if miner.negative == "semi_hard":
                farther = [n for n in N if d(a, n) > d(a, p)]
                found.update((a, p, n) for n in chosen(a, farther, "hard", max))
            else:
                found.update((a, p, n) for n in chosen(a, N, miner.negative, max))
    return found
