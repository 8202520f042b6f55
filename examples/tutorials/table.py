"""
A table
=======

A CSV file with one row a sample and one column to predict. Three questions: which distance suits
it, what the metric looks at, and how to keep it.
"""

import tempfile
from pathlib import Path

import pandas as pd
from sklearn.datasets import load_wine

import metriclearn
from metriclearn.compare import compare
from metriclearn.plots import FeatureImportanceDisplay

# sphinx_gallery_thumbnail_number = 2

# %%
# Your file
# ---------
# The chemistry of 178 wines stands for it. ``compare`` takes the path of a CSV file as well, and
# so does the command: ``metriclearn compare wines.csv --target grower --report report.html``.
wine = load_wine(as_frame=True)
growers = pd.Categorical.from_codes(wine.target, ["Ada", "Ben", "Cleo"])
table = wine.data.assign(grower=growers)
table.head(3)

# %%
# Which distance?
# ---------------
# Every learner meets the same folds and is tuned inside them. The free distances come first: a
# learned metric has to beat them.
result = compare(
    table,
    "grower",
    learners=["euclidean", "standardized", "lmnn", "nca"],
    n_folds=5,
    random_state=0,
)
for sentence in result.sentences():
    print(sentence)

# %%
# The same in numbers, and drawn. ``result.to_html("report.html")`` writes the report, one file.
result.to_frame().iloc[:, :4].round(3)

# %%
figure = result.plot()

# %%
# So scaling is enough as far as five folds can tell, and the simplest metric that is not told
# apart from the best is named. That is an answer, too: on other tables it is another one.
#
# What does a learned metric look at?
# -----------------------------------
# ``make_estimator`` gives a learner of the comparison as a pipeline, with the settings that were
# chosen. The bars say how much each column moves the wines of this table apart.
rows = table.drop(columns="grower")
metric = result.make_estimator("lmnn").fit(rows, table["grower"])
display = FeatureImportanceDisplay.from_estimator(metric, rows)

# %%
# Keep it
# -------
# A folder without a pickle, which is safe to open, with a model card beside the model. What was
# read embeds to the same bits, and Euclidean distance between embeddings is the metric.
with tempfile.TemporaryDirectory() as folder:
    metriclearn.save(metric, Path(folder) / "wine")
    print(sorted(path.name for path in (Path(folder) / "wine").iterdir()))
    again = metriclearn.load(Path(folder) / "wine")
first, second = again.transform(rows.iloc[:2])
print(((first - second) ** 2).sum() ** 0.5)
