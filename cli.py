"""Run fmkit's command line from a checkout: `python cli.py recommend ...`."""

from fmkit.cli import main

if __name__ == "__main__":
    main()
