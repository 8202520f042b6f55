"""
Recommending as search
======================

Who chose what, and nothing else: users and items are put into one space in which what is chosen is
near. To recommend is then to search for nearest neighbors.
"""

import matplotlib.pyplot as plt
import numpy as np

from metriclearn.recommend import CollaborativeMetric

# %%
# Three hundred people and a hundred and twenty films of three kinds. Most films that a person has
# chosen are of one kind; nothing says of which.
rng = np.random.RandomState(0)
kind = np.repeat([0, 1, 2], 40)
taste = rng.randint(3, size=300)
chosen = rng.random_sample((300, 120)) < np.where(kind == taste[:, None], 0.3, 0.03)
model = CollaborativeMetric(2, n_negatives=2, random_state=0).fit(chosen)

# %%
# Films of a kind have found each other, and the people who like them.
figure, ax = plt.subplots(figsize=(6, 6), layout="constrained")
ax.scatter(
    *model.user_embeddings_.T, c=np.take(["C0", "C1", "C2"], taste), s=10, alpha=0.5, label="people"
)
ax.scatter(
    *model.item_embeddings_.T, c=np.take(["C0", "C1", "C2"], kind), marker="^", s=40, label="films"
)
ax.set(aspect="equal", xticks=[], yticks=[])
legend = ax.legend()

# %%
# What is recommended are films that a person has not chosen yet.
recommended = model.recommend(chosen, k=5)
print(
    f"{np.mean(kind[recommended] == taste[:, None]):.0%} of them are of the kind the person likes"
)
