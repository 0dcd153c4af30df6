"""Rankings: how machines that rank are fitted, exact top-N lists, and how good these are."""
