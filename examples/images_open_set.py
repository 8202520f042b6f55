"""Images, and classes nobody has seen: retrieval with a ConvNet.

The embedder learns from the digits 0 to 5 only. Then it must find, for images of
6 to 9, other images of the same digit: the open-set question a classifier cannot
even be asked.
"""

import numpy as np
from sklearn.datasets import load_digits

from metriclearn.deep import DeepEmbedder
from metriclearn.metrics import map_at_r, r_precision, recall_at_k

digits = load_digits()
images, y = digits.images.astype(np.float32) / 16, digits.target
seen = y < 6

embedder = DeepEmbedder(
    module="convnet",
    loss="proxy_anchor",
    image_shape=(8, 8),
    max_epochs=20,
    random_state=0,
)
X = images.reshape(len(images), -1)
embedder.fit(X[seen], y[seen])

print("digits 6 to 9, never seen in training")
for name, rows in [("pixels", X[~seen]), ("ConvNet", embedder.transform(X[~seen]))]:
    scores = [measure(rows, y[~seen]) for measure in (recall_at_k, r_precision, map_at_r)]
    print("  {:8s} Recall@1 {:.3f}   R-precision {:.3f}   MAP@R {:.3f}".format(name, *scores))
