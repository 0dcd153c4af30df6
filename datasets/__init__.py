"""Small real data sets that ship with fmkit, readers of their full versions, and damage to try restoration on."""

from .census import load_adult
from .cifar import fetch_cifar10
from .damage import make_damage
from .pictures import load_harvesters
from .published import fetch_goodbooks, fetch_movielens
from .ratings import load_goodbooks, load_movielens_small
from .scenes import make_scenes

__all__ = [
    "fetch_cifar10",
    "fetch_goodbooks",
    "fetch_movielens",
    "load_adult",
    "load_goodbooks",
    "load_harvesters",
    "load_movielens_small",
    "make_damage",
    "make_scenes",
]
