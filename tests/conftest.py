"""What all tests share."""

from hypothesis import settings

# The first example of a property may compile kernels: no example has a deadline. The same examples in every run.
settings.register_profile("fmkit", deadline=None, derandomize=True)
settings.load_profile("fmkit")
