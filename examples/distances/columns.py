"""
Which columns a metric looks at
===============================

A linear metric is one matrix, and can be read. Thirteen measurements of wines, and what a learned
distance makes of them.
"""

import matplotlib.pyplot as plt
from sklearn.datasets import load_wine
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from metriclearn import LMNN
from metriclearn.plots import FeatureImportanceDisplay, MatrixDisplay, MetricEllipseDisplay

wine = load_wine(as_frame=True)
X, y = wine.data, wine.target_names[wine.target]
pipeline = make_pipeline(StandardScaler(), LMNN(random_state=0)).fit(X, y)

# %%
# How much each column counts
# ---------------------------
# The learned distance between two wines that differ in one column, by one standard deviation. The
# display is given the whole pipeline and the rows as they are, so that units are taken care of.
display = FeatureImportanceDisplay.from_estimator(pipeline, X)

# %%
# Which columns it weighs against each other
# ------------------------------------------
# Off the diagonal: columns of the same sign add up, those of opposite sign may make up for each
# other.
figure, ax = plt.subplots(figsize=(7, 6), layout="constrained")
display = MatrixDisplay.from_estimator(pipeline[-1], feature_names=list(X.columns), ax=ax)

# %%
# Two columns at a time
# ---------------------
# Of two columns the metric is an ellipse: points on it are equally far from the middle. It is
# narrow in the direction that tells the growers apart.
two = X[["flavanoids", "color_intensity"]]
scaled = StandardScaler().fit_transform(two)
learner = LMNN(random_state=0).fit(scaled, y)
display = MetricEllipseDisplay.from_estimator(
    learner, scaled, y, feature_names=["flavanoids", "color intensity"]
)
