"""Batch scoring: the same function over Arrow record batches, from one file to a cluster."""

from fmkit.batch.files import score_files
from fmkit.batch.job import RejectsError
from fmkit.batch.scoring import Scored, Scorer, score
from fmkit.batch.verifying import verify

__all__ = ["RejectsError", "Scored", "Scorer", "score", "score_files", "verify"]
