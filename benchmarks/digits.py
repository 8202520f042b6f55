"""3-NN accuracy on digits after each kind of metric: one split, 30% test, seed 0.

    python benchmarks/digits.py

Stratified split, standardized on the training part, default parameters.
"""

import time

import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from sklearn.neighbors import KNeighborsClassifier
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from metriclearn import LMNN, NCA
from metriclearn.deep import DeepEmbedder

LEARNERS = {
    "Euclidean": FunctionTransformer(),
    "LMNN": LMNN(),
    "NCA": NCA(random_state=0),
    **{
        f"deep {loss}": DeepEmbedder(loss=loss, random_state=0)
        for loss in ("contrastive", "triplet", "proxy_anchor", "arcface")
    },
}


def main():
    X, y = load_digits(return_X_y=True)
    X_train, X_test, y_train, y_test = train_test_split(
        X.astype(np.float32), y, test_size=0.3, stratify=y, random_state=0
    )
    scaler = StandardScaler().fit(X_train)
    X_train, X_test = scaler.transform(X_train), scaler.transform(X_test)
    print("| learner | 3-NN accuracy | fit s |\n|---|---|---|")
    for name, learner in LEARNERS.items():
        start = time.perf_counter()
        learner.fit(X_train, y_train)
        seconds = time.perf_counter() - start
        knn = KNeighborsClassifier(3).fit(learner.transform(X_train), y_train)
        score = knn.score(learner.transform(X_test), y_test)
        print(f"| {name} | {score:.4f} | {seconds:.2f} |", flush=True)


if __name__ == "__main__":
    main()
