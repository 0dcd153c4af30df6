"""An error that a person can mend, as one sentence."""

import click


def sentence_of(error: Exception) -> str:
    """What was wrong, where, and what would be right, in one line."""
    if isinstance(error, click.UsageError):
        hint = f" (see `{error.ctx.command_path} --help`)" if error.ctx else ""
        message = error.format_message().rstrip(".")
        sentence = message[0].lower() + message[1:] + hint
    elif isinstance(error, click.ClickException):
        sentence = error.format_message()
    elif isinstance(error, UnicodeEncodeError):
        sentence = f"the terminal's encoding cannot hold this text ({error.reason}): set PYTHONUTF8=1"
    elif isinstance(error, OSError) and error.strerror:
        place = f"{error.filename}: " if error.filename else ""
        sentence = place + error.strerror[0].lower() + error.strerror[1:]
    elif isinstance(error, MemoryError):
        sentence = f"the memory does not suffice{f' ({error})' if str(error) else ''}"
    else:
        sentence = str(error)
    return " ".join(sentence.split())
