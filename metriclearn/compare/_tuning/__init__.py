"""How settings are chosen: on validation rows or classes, the same budget for each learner.

The searches are scikit-learn's. A new one is a function and a row of ``STRATEGIES``.
"""
