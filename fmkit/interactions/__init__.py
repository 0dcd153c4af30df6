"""Machines whose columns interact in other ways than those of a plain factorization machine; SGD fits them.

`field_aware`, `field_weighted` and `third_order` are one each: what it holds, its equation, and the visit of a row.
"""

INTERACTIONS = ("ffm", "fwfm", "anova3")  # by name: their kernels are loaded where one is fitted or read from a file
