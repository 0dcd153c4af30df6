"""Files as record batches, and back: what each format is read and written by."""
