"""The report: one HTML file, its charts, and the like of them in matplotlib.

It is given a result and reads it; it imports none.
"""
