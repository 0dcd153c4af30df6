"""Fits by stochastic gradient descent to rows that no memory need hold: files, or batches as they come."""
