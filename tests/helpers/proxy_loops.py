"""Slow loops of the losses that hold a vector for each class, in the form of `loss_loops`."""

import torch

from helpers.loss_loops import cos, dist, log1p_sum_exp, logsumexp, mean, sq, unit


def proxy_anchor(loss, X, y):
    a, m = loss.alpha, loss.margin
    pull, push = [], []
    for c, w in enumerate(loss.proxies):
        if c in y:
            own = [x for x, k in zip(X, y, strict=True) if k == c]
            pull.append(log1p_sum_exp(-a * (cos(x, w) - m) for x in own))
        rest = [x for x, k in zip(X, y, strict=True) if k != c]
        push.append(log1p_sum_exp(a * (cos(x, w) + m) for x in rest))
    return mean(pull) + mean(push)


def cross_entropy(rows_of_logits, y):
    return mean(logsumexp(z) - z[k] for z, k in zip(rows_of_logits, y, strict=True))


def arcface(loss, X, y):
    def logit(x, w, own):
        c = cos(x, w)
        if not own:
            return loss.scale * c
        theta, m = torch.acos(c), torch.tensor(loss.margin, dtype=torch.float64)
        if theta + m > torch.pi:
            return loss.scale * (c - m * torch.sin(m))
        return loss.scale * torch.cos(theta + m)

    W = list(enumerate(loss.proxies))
    rows = [[logit(x, w, c == k) for c, w in W] for x, k in zip(X, y, strict=True)]
    return cross_entropy(rows, y)


def softmax(loss, X, y):
    C, share, bias = len(loss.proxies), loss.label_smoothing, loss.bias
    if loss.neck:
        bias, norm = [0.0] * C, loss.batch_norm
        columns = list(zip(*X, strict=True))
        means = [mean(column) for column in columns]
        variances = [
            mean((v - m) ** 2 for v in column) for column, m in zip(columns, means, strict=True)
        ]
        X = [
            torch.stack(
                [
                    (v - m) / (s + norm.eps).sqrt()
                    for v, m, s in zip(x, means, variances, strict=True)
                ]
            )
            for x in X
        ]
    W = list(zip(loss.proxies, bias, strict=True))
    logits = [[loss.scale * (w @ x + b) for w, b in W] for x in X]
    by_class = [cross_entropy(logits, [c] * len(X)) for c in range(C)]
    return (1 - share) * cross_entropy(logits, y) + share * mean(by_class)


def normalized_softmax(loss, X, y):
    return cross_entropy([[cos(x, w) / loss.temperature for w in loss.proxies] for x in X], y)


def cosface(loss, X, y):
    rows = [
        [loss.scale * (cos(x, w) - loss.margin * (c == k)) for c, w in enumerate(loss.proxies)]
        for x, k in zip(X, y, strict=True)
    ]
    return cross_entropy(rows, y)


def subcenter_arcface(loss, X, y):
    m = torch.tensor(loss.margin, dtype=torch.float64)

    def logit(x, c, own):
        nearest = max(cos(x, w) for w in loss.proxies[c :: loss.n_classes])
        if own:
            theta = torch.acos(nearest)
            nearest = torch.cos(theta + m) if theta + m < torch.pi else nearest - m * torch.sin(m)
        return loss.scale * nearest

    classes = range(loss.n_classes)
    return cross_entropy(
        [[logit(x, c, c == k) for c in classes] for x, k in zip(X, y, strict=True)], y
    )


def sphereface(loss, X, y):
    blend = max(
        loss.lambda_min,
        loss.lambda_max / (1 + loss.lambda_decay * (int(loss.step) + loss.training)),
    )

    def logit(x, w, own):
        c = cos(x, w)
        if own:
            theta = torch.acos(c)
            k = int(loss.margin * theta / torch.pi)
            psi = (-1) ** k * torch.cos(loss.margin * theta) - 2 * k
            c = (blend * c + psi) / (1 + blend)
        return c * ((x @ x).sqrt() if loss.scale is None else loss.scale)

    W = list(enumerate(loss.proxies))
    return cross_entropy(
        [[logit(x, w, c == k) for c, w in W] for x, k in zip(X, y, strict=True)], y
    )


def proxy_logits(factor, length):
    def logits(loss, x):
        x = length * x / (x @ x).sqrt()
        return [-factor * sq(x, length * w / (w @ w).sqrt()) for w in loss.proxies]

    return logits


def proxy_nca(loss, X, y):
    def term(x, k):
        z = proxy_logits(1, loss.scale)(loss, x)
        return logsumexp(z[:k] + z[k + 1 :]) - z[k]

    return mean(term(x, k) for x, k in zip(X, y, strict=True))


def proxy_nca_plus_plus(loss, X, y):
    return cross_entropy([proxy_logits(1 / loss.temperature, 1)(loss, x) for x in X], y)


def soft_triple(loss, X, y):
    K, C = loss.n_centers, loss.n_classes
    centers = [[loss.proxies[k * C + c] for k in range(K)] for c in range(C)]

    def similarity(x, c):
        s = torch.stack([cos(x, w) for w in centers[c]])
        return torch.softmax(s / loss.gamma, 0) @ s

    rows = [
        [loss.scale * (similarity(x, c) - loss.margin * (c == k)) for c in range(C)]
        for x, k in zip(X, y, strict=True)
    ]
    spread = sum(
        dist(*unit([group[t], group[u]])) for group in centers for u in range(K) for t in range(u)
    )
    return cross_entropy(rows, y) + loss.tau * spread / (C * K * (K - 1))


def proxy_repulsion(loss, X, y):
    a, m = loss.alpha, loss.margin
    X, W = unit(X), unit(loss.proxies)

    def repulsion(w, v):
        if loss.variant == "proxies":
            return w @ v
        return sum((w @ x) * (x @ v) for x in X)

    pull, push = [], []
    for c, w in enumerate(W):
        if c in y:
            own = [x for x, k in zip(X, y, strict=True) if k == c]
            pull.append(log1p_sum_exp(-a * (w @ x - m) for x in own))
        others = [v for j, v in enumerate(W) if j != c]
        push.append(log1p_sum_exp(a * (repulsion(w, v) + m) for v in others))
    return mean(pull) + mean(push)
