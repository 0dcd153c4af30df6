"""Small real data sets that ship with fmkit, readers of larger ones and of text formats, and damage to restore."""

from .census import load_adult
from .cifar import fetch_cifar10
from .damage import make_damage
from .fashion import fetch_fashion_mnist
from .libffm import iter_libffm, read_libffm, write_libffm
from .libfm import iter_libfm, read_libfm, write_libfm
from .pictures import load_harvesters
from .polarity import fetch_sentence_polarity
from .published_ratings import fetch_goodbooks, fetch_movielens
from .ratings import load_goodbooks, load_movielens_small
from .scenes import make_scenes
from .spoken_digits import fetch_spoken_digits
from .vowels import fetch_japanese_vowels

__all__ = [
    "fetch_cifar10",
    "fetch_fashion_mnist",
    "fetch_goodbooks",
    "fetch_japanese_vowels",
    "fetch_movielens",
    "fetch_sentence_polarity",
    "fetch_spoken_digits",
    "iter_libffm",
    "iter_libfm",
    "load_adult",
    "load_goodbooks",
    "load_harvesters",
    "load_movielens_small",
    "make_damage",
    "make_scenes",
    "read_libffm",
    "read_libfm",
    "write_libffm",
    "write_libfm",
]
