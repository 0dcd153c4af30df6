"""Lay two pictures side by side: `python examples/before_after.py BEFORE AFTER OUT`."""

import sys

import pyvips

before_path, after_path, out_path = sys.argv[1:]
before, after = (pyvips.Image.new_from_file(path) for path in (before_path, after_path))
before.join(after, "horizontal", shim=12, background=255, expand=True).write_to_file(out_path)
print(f"{out_path}: before and after.")
