"""Small real data sets that ship with fmkit, and readers of their full versions."""
