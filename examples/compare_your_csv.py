"""Your own CSV: which distance should I use, and is a deep one worth it?

The same as ``metriclearn compare flowers.csv --target species --folds 3 --report report.html``.
"""

import pandas as pd
from sklearn.datasets import load_iris

from metriclearn.compare import compare

# Stands for your file: one row a sample, one column the label.
iris = load_iris(as_frame=True)
table = iris.data.assign(species=iris.target_names[iris.target])
table.to_csv("flowers.csv", index=False)

table = pd.read_csv("flowers.csv")
result = compare(
    table,
    "species",
    learners=["euclidean", "standardized", "lmnn", "nca", "triplet"],
    n_folds=3,
    random_state=0,
)
print(result.to_frame().to_string(index=False))
result.to_html("report.html")
print("the report is in report.html")
