"""Tables of any columns -> design matrices: what a column is, and the columns of a design that it becomes.

`TableEncoder` is the door, for pipelines of scikit-learn and for the recommender alike.
"""

from fmkit.tables.encoder import TableEncoder

__all__ = ["TableEncoder"]
