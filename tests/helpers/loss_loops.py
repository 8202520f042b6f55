"""For every loss a slow loop written from the paper's formula.

A loop gets the loss for its parameters, the embeddings as a list of rows and the labels as a list
of ints, and returns a scalar that autograd can differentiate.
"""

import math

import torch


def sq(a, b):
    return ((a - b) ** 2).sum()


def dist(a, b):
    return sq(a, b).sqrt()


def cos(a, b):
    return (a @ b) / (a @ a).sqrt() / (b @ b).sqrt()


def log1p_sum_exp(terms):
    return torch.log(1 + sum((torch.exp(t) for t in terms), torch.zeros((), dtype=torch.float64)))


def logsumexp(terms):
    return torch.stack(list(terms)).logsumexp(0)


def mean(terms):
    terms = list(terms)
    return sum(terms) / len(terms)


def hinge(x):
    return x.clamp(min=0)


def positives(y, i):
    return [j for j in range(len(y)) if j != i and y[j] == y[i]]


def negatives(y, i):
    return [j for j in range(len(y)) if y[j] != y[i]]


def pairs(y):
    return [(i, j) for i in range(len(y)) for j in range(len(y)) if i != j]


def positive_pairs(y):
    return [(i, j) for i, j in pairs(y) if y[i] == y[j]]


def triplets(y):
    return [(a, p, n) for a, p in positive_pairs(y) for n in negatives(y, a)]


# pairs ------------------------------------------------------------------------------------------


def contrastive(loss, X, y):
    m = loss.margin
    if loss.form == "absolute":
        pull = [dist(X[i], X[j]) for i, j in positive_pairs(y)]
        push = [hinge(m - dist(X[i], X[j])) for i, j in pairs(y) if y[i] != y[j]]
        return mean_of_active(pull) + mean_of_active(push)

    def term(i, j):
        if loss.form == "hadsell":
            return sq(X[i], X[j]) / 2 if y[i] == y[j] else hinge(m - dist(X[i], X[j])) ** 2 / 2
        if loss.form == "squared_hinge":
            return sq(X[i], X[j]) if y[i] == y[j] else hinge(m**2 - sq(X[i], X[j]))
        return 1 - cos(X[i], X[j]) if y[i] == y[j] else hinge(cos(X[i], X[j]) - m)

    return mean(term(i, j) for i, j in pairs(y))


def mean_of_active(terms):
    terms = [t for t in terms if t > 0]
    return mean(terms) if terms else 0


def snr_contrastive(loss, X, y):
    def d(i, j):
        return (X[i] - X[j]).var() / X[i].var()

    pull = [hinge(d(i, j) - loss.positive_margin) for i, j in positive_pairs(y)]
    push = [hinge(loss.margin - d(i, j)) for i, j in pairs(y) if y[i] != y[j]]
    penalty = loss.zero_mean_weight * mean(x.sum().abs() for x in X)
    return mean_of_active(pull) + mean_of_active(push) + penalty


def margin(loss, X, y, indices=None):
    def beta(i):
        value = loss.beta_global
        if loss.scope != "global":
            value = value + loss.beta_class[y[i]]
        if loss.scope == "sample":
            value = value + loss.beta_sample[indices[i]]
        return value

    terms = []
    for i, j in pairs(y):
        side = 1 if y[i] == y[j] else -1
        terms.append(hinge(side * (dist(X[i], X[j]) - beta(i)) + loss.margin))
    terms = [t for t in terms if t > 0]
    return (sum(terms) + loss.nu * sum(beta(i) for i in range(len(y)))) / len(terms)


def multi_similarity(loss, X, y):
    a, b, t = loss.alpha, loss.beta, loss.threshold

    def anchor(i):
        pull = log1p_sum_exp(-a * (cos(X[i], X[p]) - t) for p in positives(y, i))
        push = log1p_sum_exp(b * (cos(X[i], X[n]) - t) for n in negatives(y, i))
        return pull / a + push / b

    return mean(anchor(i) for i in range(len(y)))


def circle(loss, X, y):
    m, g = loss.margin, loss.scale

    def pull(s):
        return -g * hinge(1 + m - s.detach()) * (s - (1 - m))

    def push(s):
        return g * hinge(s.detach() + m) * (s - m)

    def anchor(i):
        near = logsumexp(pull(cos(X[i], X[p])) for p in positives(y, i))
        far = logsumexp(push(cos(X[i], X[n])) for n in negatives(y, i))
        return torch.log(1 + torch.exp(near + far))

    return mean(anchor(i) for i in range(len(y)) if positives(y, i) and negatives(y, i))


def lifted(loss, X, y):
    def pushes(i):
        return [loss.margin - dist(X[i], X[n]) for n in negatives(y, i)]

    if loss.form == "generalized":
        anchors = [i for i in range(len(y)) if positives(y, i) and negatives(y, i)]
        return mean(
            hinge(logsumexp(dist(X[i], X[p]) for p in positives(y, i)) + logsumexp(pushes(i)))
            for i in anchors
        )
    join = logsumexp if loss.form == "smooth" else max
    unordered = [(i, j) for i, j in positive_pairs(y) if i < j]
    return mean(
        hinge(dist(X[i], X[j]) + join(pushes(i) + pushes(j))) ** 2 / 2 for i, j in unordered
    )


def ranked_list(loss, X, y):
    def weighted(violations, temperature):
        active = [v for v in violations if v > 0]
        if not active:
            return 0
        weights = [torch.exp(temperature * v.detach()) for v in active]
        return sum(w * v for w, v in zip(weights, active, strict=True)) / sum(weights)

    def anchor(i):
        pull = [dist(X[i], X[p]) - (loss.alpha - loss.margin) for p in positives(y, i)]
        push = [loss.alpha - dist(X[i], X[n]) for n in negatives(y, i)]
        return (1 - loss.balance) * weighted(pull, loss.positive_temperature) + (
            loss.balance * weighted(push, loss.temperature)
        )

    return mean(anchor(i) for i in range(len(y)))


# triplets ---------------------------------------------------------------------------------------


def triplet_terms(loss, X, y, window=None):
    d = sq if loss.squared else dist
    terms = []
    for a, p, n in triplets(y):
        gap = d(X[a], X[n]) - d(X[a], X[p])
        if window is not None and not window[0] < gap < window[1]:
            continue
        if loss.swap:
            gap = torch.minimum(gap, d(X[p], X[n]) - d(X[a], X[p]))
        z = loss.margin - gap
        terms.append(torch.log(1 + torch.exp(z)) if loss.soft else hinge(z))
    return terms


def triplet(loss, X, y, window=None):
    terms = triplet_terms(loss, X, y, window)
    if loss.reduction == "mean_nonzero":
        terms = [t for t in terms if t > 0]
    return mean(terms)


def semi_hard_triplet(mined, X, y):
    return triplet(mined.loss, X, y, (0, mined.loss.margin))


def hard_triplet(mined, X, y):
    return triplet(mined.loss, X, y, (-torch.inf, 0))


def hierarchical_triplet(loss, X, y):
    m = loss.class_margins
    return mean_of_active(
        hinge(sq(X[a], X[p]) - sq(X[a], X[n]) + m[y[a], y[n]]) / 2 for a, p, n in triplets(y)
    )


def label_distance_triplet(loss, X, y):
    terms = []
    for a, p in pairs(y):
        for n in range(len(y)):
            if n != a and abs(y[a] - y[p]) <= loss.near and abs(y[a] - y[n]) > loss.far:
                terms.append(hinge(sq(X[a], X[p]) - sq(X[a], X[n]) + loss.margin))
    return mean_of_active(terms)


def label_parts_triplet(loss, X, y):
    """Near in every part, far in any; ``y`` are lists of amounts."""
    terms = []
    b = len(y)

    def apart(i, j):
        return [math.dist([y[i][c] for c in p], [y[j][c] for c in p]) for p in loss.parts]

    for a, p, n in ((a, p, n) for a, p in pairs(y) for n in range(b) if n != a):
        near = all(r <= bound for r, bound in zip(apart(a, p), loss.near, strict=True))
        if near and any(r > bound for r, bound in zip(apart(a, n), loss.far, strict=True)):
            terms.append(hinge(sq(X[a], X[p]) - sq(X[a], X[n]) + loss.margin))
    return mean_of_active(terms)


def log_ratio(loss, X, y):
    e = loss.epsilon
    if all(isinstance(label, int) for label in y):
        y = [[float(k == label) / 2**0.5 for k in set(y)] for label in y]
    else:
        y = [[label] for label in y]
    r = {(i, j): math.dist(y[i], y[j]) ** 2 for i, j in pairs(y)}
    floor = e * sum(r.values()) / len(r)
    terms = []
    for a, i in pairs(y):
        for j in range(len(y)):
            if j not in (a, i):
                ratio = torch.log((sq(X[a], X[i]) + e) / (sq(X[a], X[j]) + e))
                truth = math.log((r[a, i] + floor) / (r[a, j] + floor))
                terms.append((ratio - truth) ** 2)
    return mean(terms)


def unit(X):
    return [x / (x @ x).sqrt() for x in X]


def angular(loss, X, y):
    X, t = unit(X), torch.tan(torch.deg2rad(torch.tensor(loss.alpha, dtype=torch.float64))) ** 2
    return mean(
        log1p_sum_exp(
            4 * t * (X[a] + X[p]) @ X[n] - 2 * (1 + t) * X[a] @ X[p] for n in negatives(y, a)
        )
        for a, p in positive_pairs(y)
    )


def tuplet_margin(loss, X, y):
    def own(a, p):
        slack = torch.deg2rad(torch.tensor(loss.margin, dtype=torch.float64))
        return torch.cos(torch.acos(cos(X[a], X[p])) - slack)

    return mean(
        log1p_sum_exp(loss.scale * (cos(X[a], X[n]) - own(a, p)) for n in negatives(y, a))
        for a, p in positive_pairs(y)
    )


def quadruplet(loss, X, y):
    first = [hinge(sq(X[a], X[p]) - sq(X[a], X[n]) + loss.margin) for a, p, n in triplets(y)]
    second = [
        hinge(sq(X[i], X[j]) - sq(X[k], X[m]) + loss.second_margin)
        for i, j in positive_pairs(y)
        for k, m in pairs(y)
        if len({y[i], y[k], y[m]}) == 3
    ]
    return mean_of_active(first) + mean_of_active(second)


# batch softmax ----------------------------------------------------------------------------------


def n_pair(loss, X, y):
    rounds = {}
    for c in set(y):
        rows = [i for i in range(len(y)) if y[i] == c]
        for r in range(len(rows) // 2):
            rounds.setdefault(r, []).append((X[rows[2 * r]], X[rows[2 * r + 1]]))
    terms, squares = [], []
    for duos in rounds.values():
        for i, (a, p) in enumerate(duos):
            terms.append(log1p_sum_exp(a @ q - a @ p for j, (_, q) in enumerate(duos) if j != i))
            squares += [a @ a, p @ p]
    return mean(terms) + loss.l2_weight * mean(squares)


def ntxent(loss, X, y):
    t = loss.temperature
    return mean(
        log1p_sum_exp((cos(X[a], X[n]) - cos(X[a], X[p])) / t for n in negatives(y, a))
        for a, p in positive_pairs(y)
    )


def supcon(loss, X, y):
    def log_probability(i, p):
        others = (cos(X[i], X[k]) / loss.temperature for k in range(len(y)) if k != i)
        return cos(X[i], X[p]) / loss.temperature - logsumexp(others)

    return mean(
        -mean(log_probability(i, p) for p in positives(y, i))
        for i in range(len(y))
        if positives(y, i)
    )


def soft_nearest_neighbor(loss, X, y):
    def mass(i, rows):
        return sum(torch.exp(-sq(X[i], X[j]) / loss.temperature) for j in rows)

    return mean(
        -torch.log(mass(i, positives(y, i)) / mass(i, positives(y, i) + negatives(y, i)))
        for i in range(len(y))
        if positives(y, i)
    )


# ranking ----------------------------------------------------------------------------------------


def node_weights(value, low, step, n_bins):
    return [hinge(1 - (value - low - l * step).abs() / step) for l in range(n_bins + 1)]


def fastap(loss, X, y):
    L = loss.n_bins

    def histogram(i, rows):
        bins = [node_weights(2 - 2 * cos(X[i], X[j]), 0, 4 / L, L) for j in rows]
        return [sum(b[l] for b in bins) for l in range(L + 1)]

    def anchor(i):
        own, rest = histogram(i, positives(y, i)), histogram(i, negatives(y, i))
        ap = 0
        for l in range(L + 1):
            below = sum(own[: l + 1]) + sum(rest[: l + 1])
            if below > 0:
                ap = ap + own[l] * sum(own[: l + 1]) / below
        return 1 - ap / len(positives(y, i))

    return mean(anchor(i) for i in range(len(y)) if positives(y, i))


def histogram(loss, X, y):
    def density(chosen):
        bins = [node_weights(cos(X[i], X[j]), -1, 2 / loss.n_bins, loss.n_bins) for i, j in chosen]
        return [mean(b[r] for b in bins) for r in range(loss.n_bins + 1)]

    own = density(positive_pairs(y))
    rest = density([(i, j) for i, j in pairs(y) if y[i] != y[j]])
    return sum(h * sum(own[: r + 1]) for r, h in enumerate(rest))


def smooth_rank(loss_temperature, X, i, p, rows):
    s = cos(X[i], X[p])
    return 1 + sum(torch.sigmoid((cos(X[i], X[j]) - s) / loss_temperature) for j in rows if j != p)


def smooth_ap(loss, X, y):
    def anchor(i):
        own, rest = positives(y, i), negatives(y, i)
        t = loss.temperature
        return 1 - mean(
            smooth_rank(t, X, i, p, own) / smooth_rank(t, X, i, p, own + rest) for p in own
        )

    return mean(anchor(i) for i in range(len(y)) if positives(y, i))


def recall_at_k(loss, X, y):
    def anchor(i, k):
        own, rest = positives(y, i), negatives(y, i)
        ranks = [smooth_rank(loss.rank_temperature, X, i, p, own + rest) for p in own]
        hits = sum(torch.sigmoid((k - r) / loss.temperature) for r in ranks)
        return 1 - hits / min(k, len(own))

    return mean(anchor(i, k) for i in range(len(y)) if positives(y, i) for k in loss.ks)


def group(loss, X, y):
    def correlation(i, j):
        a, b = X[i] - X[i].mean(), X[j] - X[j].mean()
        return cos(a, b)

    rows, classes = range(len(y)), range(loss.n_classes)
    seen = []
    P = []
    anchors = []
    for i in rows:
        is_anchor = seen.count(y[i]) < min(loss.n_anchors, y.count(y[i]) - 1)
        anchors.append(is_anchor)
        seen.append(y[i])
        logits = torch.stack([X[i] @ w for w in loss.proxies]) / loss.temperature
        p = torch.softmax(logits, 0)
        if is_anchor:
            p = torch.tensor([float(c == y[i]) for c in classes], dtype=torch.float64)
        P.append(p)
    for _ in range(loss.n_iter):
        support = [
            sum((hinge(correlation(i, j)) * P[j] for j in rows if j != i), torch.zeros_like(P[i]))
            for i in rows
        ]
        P = [
            p * w / (p * w).sum() if (p * w).sum() > 0 else p
            for p, w in zip(P, support, strict=True)
        ]
    return mean(-torch.log(P[i][y[i]]) for i in rows if not anchors[i])


# add-ons ----------------------------------------------------------------------------------------


def center(loss, X, y):
    return mean(sq(x, loss.centers[k]) / 2 for x, k in zip(X, y, strict=True))


def alignment(loss, X, y):
    return mean(dist(X[i], X[j]) ** loss.alpha for i, j in positive_pairs(y))


def uniformity(loss, X, y):
    return torch.log(mean(torch.exp(-loss.t * sq(X[i], X[j])) for i, j in pairs(y)))


def embedding_norm(loss, X, y):
    return mean(((x @ x).sqrt() - loss.radius) ** 2 for x in X)
