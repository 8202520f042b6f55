"""Solvers that several learners share."""
