"""Reports on models: one HTML file that tells somebody who was not there what a model is and what it is worth."""

from fmkit.report.writing import report

__all__ = ["report"]
