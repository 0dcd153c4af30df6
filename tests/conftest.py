"""What all tests share."""

import signal

import pytest
from hypothesis import settings

# The first example of a property may compile kernels: no example has a deadline. The same examples in every run.
settings.register_profile("fmkit", deadline=None, derandomize=True, max_examples=60)
settings.load_profile("fmkit")


@pytest.fixture
def ctrl_c_works():
    """SIGINT interrupts this process and those it starts, also where the tests run in the background of a shell."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)
