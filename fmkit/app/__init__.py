"""The page of `fmkit app`: a server for this computer, with nothing from elsewhere; a module a room, work by session."""
