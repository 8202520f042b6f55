"""
Pairs and triplets
==================

No classes, only answers: "these two are the same" or "this one is closer to that than to the
other". A metric is learned from as many of them as people have time to give.
"""

import matplotlib.pyplot as plt
import numpy as np

from metriclearn import LMNN, MMC, PairClassifier, TripletClassifier
from metriclearn.compare import compare
from metriclearn.constraints import Pairs, Triplets
from metriclearn.datasets import make_metric_pairs, make_metric_triplets
from metriclearn.plots import MatrixDisplay

# %%
# "Closer to this than to that"
# -----------------------------
# A judge compares 100 things by a metric of their own, which nobody can write down, and errs in
# one of twenty answers. A triplet (a, p, n) says that row a is closer to row p than to row n.
X, answers, judge = make_metric_triplets(n_triplets=2000, flip=0.05, random_state=0)
train, test = answers[:1000], answers[1000:]
print(X.shape, train[:2].tolist())

# %%
# Rows are given once, answers by row number. How many answers are needed? ``TripletClassifier``
# scores a learner by the share of other answers that it meets.
learner = LMNN()
counts = [10, 30, 100, 300, 1000]
scores = [TripletClassifier(learner, points=X).fit(train[:n]).score(test) for n in counts]
a, p, n = X[test].transpose(1, 0, 2)
plain = np.mean(np.linalg.norm(a - p, axis=1) < np.linalg.norm(a - n, axis=1))

figure, ax = plt.subplots()
ax.semilogx(counts, scores, "o-", label="learned")
ax.axhline(plain, color="gray", linestyle="--", label="Euclidean")
ax.axhline(0.95, color="black", linestyle=":", label="answers that are right")
ax.set(xlabel="answers to learn from", ylabel="other answers met")
ax.set_title("Predicting the judge")
legend = ax.legend()

# %%
# What was learned is the judge's metric, as far as its answers show it.
learned = learner.fit(X, constraints=Triplets(train)).get_mahalanobis_matrix()
figure, axes = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
MatrixDisplay.from_matrix(judge / np.trace(judge), name="the judge's", ax=axes[0])
display = MatrixDisplay.from_matrix(learned / np.trace(learned), name="learned", ax=axes[1])

# %%
# Was it worth it? ``compare`` takes the answers in place of labels, and tests metrics on answers
# that were held out: new ones about known things, and those about things never judged in training.
# In a shell: ``metriclearn compare things.csv --triplets answers.csv``.
learners = ["standardized", "lmnn", "mahalanobislearner"]
result = compare(X, constraints=Triplets(train), learners=learners)
print(*result.sentences(), sep="\n")

# %%
# "The same" or "not the same"
# ----------------------------
# A pair is the same or not, and to decide takes a threshold besides the metric. ``PairClassifier``
# learns both, and is a scikit-learn classifier of pairs.
X, pairs, same, judge = make_metric_pairs(n_pairs=1500, flip=0.05, random_state=0)
model = PairClassifier(MMC(), points=X).fit(pairs[:1000], same[:1000])
print("right on other pairs:", round(model.score(pairs[1000:], same[1000:]), 3))

# %%
# Without the threshold: the learner itself takes ``constraints=``. Its embedding serves whatever
# works on rows: neighbors, clusters, maps.
embedding = MMC().fit(X, constraints=Pairs(pairs, same)).transform(X)

figure, axes = plt.subplots(1, 2, figsize=(10, 4), sharey=True, layout="constrained")
for ax, title, rows in zip(axes, ["Euclidean", "MMC"], [X, embedding], strict=True):
    distances = np.linalg.norm(rows[pairs[:, 0]] - rows[pairs[:, 1]], axis=1)
    bins = np.linspace(0, distances.max(), 40)
    ax.hist(distances[same], bins, alpha=0.6, label="the same")
    ax.hist(distances[~same], bins, alpha=0.6, hatch="//", label="not the same")
    ax.set(title=title, xlabel="distance of the two")
axes[0].set_ylabel("pairs")
legend = axes[0].legend()
