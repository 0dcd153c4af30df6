"""What all tests share."""

import signal

import pytest
from hypothesis import settings

from tests.app_page import browser, served

# The first example of a property may compile kernels: no example has a deadline. The same examples in every run.
settings.register_profile("fmkit", deadline=None, derandomize=True, max_examples=60)
settings.load_profile("fmkit")


@pytest.fixture
def ctrl_c_works():
    """SIGINT interrupts this process and those it starts, also where the tests run in the background of a shell."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture(scope="module")
def chromium():
    """The system's Chromium."""
    with browser() as found:
        yield found


@pytest.fixture(scope="module")
def address():
    """Of a page whose closed tabs end after a second."""
    with served(grace=1.0) as found:
        yield found
