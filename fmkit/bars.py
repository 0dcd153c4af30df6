"""The progress bar: with widgets in a notebook that has them, of letters elsewhere."""

import warnings

with warnings.catch_warnings():
    # Where a notebook has no widgets tqdm says so, and shows a bar of letters, which will do.
    warnings.filterwarnings("ignore", "IProgress not found")
    from tqdm.auto import tqdm

__all__ = ["tqdm"]
