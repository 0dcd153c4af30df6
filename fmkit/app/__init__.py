"""The page of `fmkit app`: a server for this computer, with nothing from elsewhere; work goes by session."""
