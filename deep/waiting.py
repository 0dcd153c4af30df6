"""Threads that wait for each other leave the processor to others, where torch is loaded from here.

OpenMP's spin at the end of every loop unless its environment says otherwise, and where a core has other work, all wait
for that one: a fit of CNNClassifier with n_jobs=-1, on two cores one of which was taken, took 12.2 s, and 2.6 s with
threads that sleep. The library reads the environment once, when torch loads it, and has no function to tell it later;
so the word is there for as long as that takes, unless there is one already.
"""

import os
import sys

if "torch" not in sys.modules and not os.environ.keys() & {"OMP_WAIT_POLICY", "GOMP_SPINCOUNT"}:
    os.environ["OMP_WAIT_POLICY"] = "PASSIVE"
    try:
        import torch  # noqa: F401
    finally:
        del os.environ["OMP_WAIT_POLICY"]
