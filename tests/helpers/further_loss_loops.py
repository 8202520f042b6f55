"""More slow loops written from the papers' formulas, in the form of `loss_loops`."""

import math

import torch

from helpers.loss_loops import (
    cos,
    dist,
    hinge,
    log1p_sum_exp,
    logsumexp,
    mean,
    mean_of_active,
    negatives,
    pairs,
    positive_pairs,
    positives,
)


def unit(x):
    return x / (x @ x).sqrt()


def intra_pair_variance(loss, X, y):
    similar = [cos(X[i], X[j]) for i, j in positive_pairs(y)]
    other = [cos(X[i], X[j]) for i, j in pairs(y) if y[i] != y[j]]
    pull = [hinge((1 - loss.positive_epsilon) * mean(similar) - s) ** 2 for s in similar]
    push = [hinge(s - (1 + loss.epsilon) * mean(other)) ** 2 for s in other]
    return mean(pull) + mean(push)


def threshold_consistent(loss, X, y):
    pull = [hinge(loss.positive_margin - cos(X[i], X[j])) for i, j in positive_pairs(y)]
    push = [hinge(cos(X[i], X[j]) - loss.margin) for i, j in pairs(y) if y[i] != y[j]]
    return loss.positive_weight * mean_of_active(pull) + loss.weight * mean_of_active(push)


def instance_pairs(y):
    """First and second row of each pair of a class, in order."""
    found = []
    for c in sorted(set(y)):
        rows = [i for i in range(len(y)) if y[i] == c]
        found += [(rows[k], rows[k + 1]) for k in range(0, len(rows) - 1, 2)]
    return found


def vicreg(loss, X, y):
    at = instance_pairs(y)
    n, d = len(at), len(X[0])
    value = loss.invariance * sum(((X[i] - X[j]) ** 2).sum() for i, j in at) / (n * d)
    for view in zip(*at, strict=True):
        center = sum(X[i] for i in view) / n
        covariance = torch.zeros(d, d, dtype=torch.float64)
        for i in view:
            covariance = covariance + torch.outer(X[i] - center, X[i] - center) / (n - 1)
        for k in range(d):
            deviation = (covariance[k, k] + loss.epsilon).sqrt()
            value = value + loss.variance * hinge(1 - deviation) / (2 * d)
            for j in range(d):
                if j != k:
                    value = value + loss.covariance * covariance[k, j] ** 2 / d
    return value


def two_views(loss, X, y):
    n = len(X) // 2
    terms = []
    for i in range(2 * n):
        other = (i + n) % (2 * n)
        t = loss.loss.temperature
        rest = [cos(X[i], X[k]) / t for k in range(2 * n) if k % n != i % n]
        own = cos(X[i], X[other]) / t
        terms.append(logsumexp([own, *rest]) - own)
    return mean(terms)


def manifold(loss, X, y):
    nodes = [*X, *loss.proxies]
    n, m = len(X), len(nodes)
    S = torch.stack([
        torch.stack([
            torch.exp(2 * hinge(cos(a, b))) if i != j else torch.zeros((), dtype=torch.float64)
            for j, b in enumerate(nodes)
        ])
        for i, a in enumerate(nodes)
    ])  # fmt: skip
    D = torch.diag(S.sum(1) ** -0.5)
    # The walk as the sum of its steps: (1 - a) Σ a^k W^k.
    W, step = D @ S @ D, torch.eye(m, dtype=torch.float64)
    F = torch.zeros_like(step)
    for _ in range(400):
        F = F + (1 - loss.alpha) * step
        step = loss.alpha * step @ W

    def violations(affinity):
        terms = []
        for i in range(n):
            beyond = [affinity(i, c) - affinity(i, y[i]) + loss.margin
                      for c in range(loss.n_classes) if c != y[i]]  # fmt: skip
            terms.append(log1p_sum_exp(b for b in beyond if b >= 0))
        return mean(terms)

    intrinsic = violations(lambda i, c: F[i, n + c])
    return intrinsic + loss.context_weight * violations(lambda i, c: cos(F[i], F[n + c]))


def dynamic_soft_margin(loss, X, y):
    X = [unit(x) for x in X]
    hardness = []
    for i, j in positive_pairs(y):
        away = [dist(X[k], X[n]) for k in (i, j) for n in negatives(y, i)]
        hardness.append(dist(X[i], X[j]) - min(away))

    histogram = loss.histogram.tolist()
    drawn = [0.0] * len(histogram)
    places = []
    for h in hardness:
        place = (float(h.detach()) + 2) / 4 * loss.n_bins
        low = min(int(place), loss.n_bins - 1)
        places.append((low, place - low))
        drawn[low] += (1 - (place - low)) / len(hardness)
        drawn[low + 1] += (place - low) / len(hardness)
    if loss.training:
        rate = loss.momentum if any(histogram) else 1.0
        histogram = [(1 - rate) * h + rate * d for h, d in zip(histogram, drawn, strict=True)]

    def share(low, part):
        return (1 - part) * sum(histogram[: low + 1]) + part * sum(histogram[: low + 2])

    return mean(share(*at) * h for at, h in zip(places, hardness, strict=True))


def adaptive_triplet(loss, X, y):
    def weighted(values, sign):
        weights = [math.exp(sign * float(v.detach())) for v in values]
        return sum(w * v for w, v in zip(weights, values, strict=True)) / sum(weights)

    terms = []
    for a in range(len(y)):
        if positives(y, a) and negatives(y, a):
            pull = weighted([dist(X[a], X[p]) for p in positives(y, a)], 1)
            push = weighted([dist(X[a], X[n]) for n in negatives(y, a)], -1)
            violation = pull - push + loss.margin
            terms.append(torch.log(1 + torch.exp(violation)) if loss.soft else hinge(violation))
    return mean(terms) if loss.soft or loss.reduction == "mean" else mean_of_active(terms)


def pnp(loss, X, y):
    def before(i, p):
        return sum(
            1 / (1 + torch.exp(-(cos(X[i], X[n]) - cos(X[i], X[p])) / loss.temperature))
            for n in negatives(y, i)
        )

    penalties = {
        "plain": lambda r: r,
        "decreasing_slow": lambda r: torch.log(1 + r),
        "decreasing_fast": lambda r: 1 - 1 / (1 + r) ** loss.alpha,
        "increasing_unbounded": lambda r: (1 + r) * torch.log(1 + r),
        "increasing_bounded": lambda r: (loss.b * r - torch.log(1 + loss.b * r)) / loss.b**2,
    }
    h = penalties[loss.variant]
    return mean(
        mean(h(before(i, p)) for p in positives(y, i)) for i in range(len(y)) if positives(y, i)
    )


def p2s_grad(loss, X, y):
    return mean(
        sum((cos(x, w) - (1.0 if j == y[i] else 0.0)) ** 2 for j, w in enumerate(loss.proxies))
        for i, x in enumerate(X)
    )


def large_margin_softmax(loss, X, y):
    blend = max(loss.lambda_min, loss.lambda_max / (1 + loss.lambda_decay * (int(loss.step) + 1)))
    terms = []
    for x, own in zip(X, y, strict=True):
        logits = [loss.scale * (w @ x) for w in loss.proxies]
        w = loss.proxies[own]
        theta = torch.acos(cos(x, w))
        k = int(loss.margin * float(theta.detach()) / math.pi)
        psi = (-1) ** k * torch.cos(loss.margin * theta) - 2 * k
        length = (w @ w).sqrt() * (x @ x).sqrt()
        moved = loss.scale * length * (blend * torch.cos(theta) + psi) / (1 + blend)
        others = [z for j, z in enumerate(logits) if j != own]
        terms.append(logsumexp([moved, *others]) - moved)
    return mean(terms)


def plain_proxy_nca(loss, X, y):
    terms = []
    for x, own in zip(X, y, strict=True):
        away = [-dist(x, p) for p in loss.proxies]
        terms.append(logsumexp(away) - away[own])
    return mean(terms)


def n_pair_of_all(loss, X, y):
    anchors = [i for i in range(len(y)) if positives(y, i)]
    value = mean(
        log1p_sum_exp(X[i] @ X[n] - X[i] @ X[p] for p in positives(y, i) for n in negatives(y, i))
        for i in anchors
    )
    return value + loss.l2_weight * mean(X[i] @ X[i] for i in anchors)


def margin_of_cosines(loss, X, y):
    terms = []
    for i, j in pairs(y):
        side = 1 if y[i] == y[j] else -1
        terms.append(hinge(loss.margin + side * (loss.beta_global - cos(X[i], X[j]))))
    active = [t for t in terms if t > 0]
    return (sum(active) + loss.nu * len(y) * loss.beta_global) / len(active)


def lifted_of_cosines(loss, X, y):
    anchors = [i for i in range(len(y)) if positives(y, i) and negatives(y, i)]
    return mean(
        hinge(
            logsumexp(loss.margin - cos(X[i], X[p]) for p in positives(y, i))
            + logsumexp(cos(X[i], X[n]) for n in negatives(y, i))
        )
        for i in anchors
    )


def binomial_deviance(loss, X, y):
    b, t, c = loss.scale, loss.threshold, loss.cost
    pull = [torch.log1p(torch.exp(-b * (cos(X[i], X[j]) - t))) for i, j in positive_pairs(y)]
    push = [
        torch.log1p(torch.exp(b * c * (cos(X[i], X[j]) - t)))
        for i in range(len(y))
        for j in negatives(y, i)
    ]
    return mean(pull) + mean(push)


def boosted(loss, X, y):
    """The weights of a pair are derivatives of the deviance, by autograd rather than by hand."""
    b, t, c = loss.scale, loss.threshold, loss.cost
    sizes, ends = loss._sizes(len(X[0])), []
    for size in sizes:
        ends.append((ends[-1] if ends else 0) + size)
    groups = [[x[end - size : end] for x in X] for size, end in zip(sizes, ends, strict=True)]
    pull, push = [], []
    for i, j in pairs(y):
        steepness = b if y[i] == y[j] else -b * c

        def deviance(s, steepness=steepness):
            return torch.log1p(torch.exp(-steepness * (s - t)))

        so_far = torch.zeros((), dtype=torch.float64)
        for m, Z in enumerate(groups, 1):
            s, weight = cos(Z[i], Z[j]), 1.0
            if m > 1:
                at = so_far.detach().requires_grad_()
                weight = torch.autograd.grad(deviance(at), at)[0].abs()
            (pull if y[i] == y[j] else push).append(weight * deviance(s))
            so_far = (1 - 2 / (m + 1)) * so_far + 2 / (m + 1) * s.detach()
    value = len(groups) * (mean(pull) + mean(push))
    for name, separation in loss.separations.items():
        first, second = (groups[int(k)] for k in name.split("-"))
        shared = []
        for u, v in zip(first, second, strict=True):
            # The same value, with a gradient of the other sign.
            u, v = (2 * z.detach() - z for z in (u / u.norm(), v / v.norm()))
            predicted = separation.predictor(v)
            shared += [(a * b) ** 2 for a, b in zip(u, predicted / predicted.norm(), strict=True)]
        value = value - loss.diversity * mean(shared)
    return value
