"""The command line: a file a command, found by its name and imported only when it is asked for.

Everything that a person can mend ends in one sentence on stderr and exit status 2; other exceptions are our mistakes
and show their traceback.
"""

import gc
import io
import os
import pkgutil
import signal
import sys
import warnings
from difflib import get_close_matches
from importlib import import_module
from pathlib import Path
from typing import NoReturn

import click

from fmkit import __version__
from fmkit.cli._sentences import sentence_of
from fmkit.cli._start import spare_imports
from fmkit.errors import InputError


class _Commands(click.Group):
    """The public modules of this package: command NAME is the function NAME in fmkit/cli/NAME.py."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(module.name for module in pkgutil.iter_modules(__path__) if not module.name.startswith("_"))

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self.list_commands(ctx):
            return None
        command: click.Command = getattr(import_module(f"fmkit.cli.{cmd_name}"), cmd_name)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError:
            near = get_close_matches(args[0], self.list_commands(ctx), 1)
            if not near:
                raise
            raise click.UsageError(f"no such command {args[0]!r}: did you mean {near[0]!r}?", ctx) from None


@click.group(cls=_Commands, no_args_is_help=False, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, message="%(prog)s %(version)s")
def fmkit() -> None:
    """Factorization machines that fill tables with holes: ratings nobody gave yet, pixels a picture lost."""


def main() -> NoReturn:
    """Run the command line and exit: 0 done, 2 something to mend, 130 interrupted."""
    spare_imports()
    if sys.stdout is None:  # closed by `>&-`
        sys.stdout = Path(os.devnull).open("w")  # noqa: SIM115 (it stays open as long as the process)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    warnings.formatwarning = lambda message, *_, **__: f"fmkit: {message}\n"
    try:
        status = fmkit.main(prog_name="fmkit", standalone_mode=False) or 0
        sys.stdout.flush()
    except BrokenPipeError:
        _drop_unwritten_output()  # the reader (`| head`) has enough: silent, with the status that click gives it
        status = 1
    except (InputError, OSError, MemoryError, UnicodeEncodeError, click.ClickException) as error:
        _drop_unwritten_output()
        print(f"fmkit: {sentence_of(error)}", file=sys.stderr)
        status = 2
    except (KeyboardInterrupt, click.Abort):
        print("fmkit: interrupted, nothing more was written", file=sys.stderr)
        status = 128 + signal.SIGINT
    gc.freeze()  # or Python looks through all that the libraries hold once more at its end, a third of a second
    sys.exit(status)


def _drop_unwritten_output() -> None:
    """Flush stdout while its failure can still be ignored: the first error is the one to tell, not that of the exit."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
