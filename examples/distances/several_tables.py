"""
Learners over several tables
============================

A learner that wins on one table may have been lucky. Over several, learners are ranked on each, and
the mean ranks say who is better by more than luck.
"""

import numpy as np
from sklearn.datasets import load_breast_cancer, load_iris, load_wine
from sklearn.model_selection import cross_val_score
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from metriclearn import LFDA, RCA, Covariance
from metriclearn.datasets import make_planted_metric
from metriclearn.plots import CriticalDifferenceDisplay

planted = [make_planted_metric(150, 8, noise=0.5, random_state=seed)[:2] for seed in range(5)]
tables = [load(return_X_y=True) for load in (load_iris, load_wine, load_breast_cancer)] + planted
steps = {
    "Euclid": [],
    "standardized": [StandardScaler()],
    "Mahalanobis": [Covariance()],
    "LFDA": [StandardScaler(), LFDA()],
    "RCA": [StandardScaler(), RCA()],
}
scores = np.array(
    [
        [
            cross_val_score(make_pipeline(*metric, KNeighborsClassifier(3)), X, y).mean()
            for metric in steps.values()
        ]
        for X, y in tables
    ]
)
print(scores.round(3))

# %%
# The better ones are on the left. A bar joins learners that these tables do not tell apart. The
# same diagram is what ``compare(datasets={...}).plot()`` draws, each learner tuned.
display = CriticalDifferenceDisplay.from_scores(scores, list(steps))
