"""An error that a person can mend, as one sentence, and what Python calls an argument as the command's option."""

import re

import click

ROLES = ("user", "item", "rating", "weight", "time", "title")
OPTIONS = {  # of an argument: the option, and what stands for its value
    **{role: (f"--columns {role}=", "COLUMN") for role in ROLES},
    "times": ("--columns time=", "COLUMN"),
    "users": ("--users ", "FILE"),
    "items": ("--items ", "FILE"),
    "context": ("--context ", "NAME"),
    "feedback": ("--feedback ", "KIND"),
    "how": ("--split ", "RULE"),
    "test": ("--test ", "SHARE"),
    "relevant": ("--relevant ", "R"),
    "metric": ("--metric ", "NAME"),
    "risk": ("--risk ", "X"),
    "target": ("--target ", "COLUMN"),
    "at_most": ("--at-most ", "COLUMN=N"),
    "pinned": ("--pin ", "ID"),
}
# What stands in quotes is somebody's own. An argument is followed by =, or by nothing where a sentence is about it.
ARGUMENT = re.compile(
    r"(?<!\w)'[^']*'"
    rf"|(?<=[\s(])(?P<name>{'|'.join(OPTIONS)})=(?P<value>'\w[^']*'|\w[\w.-]*)?"
    r"|^(?P<subject>at_most|metric|pinned|risk|test)(?= )"
)


def in_options(sentence: str) -> str:
    """A sentence for whoever calls from Python, for whoever is at the command line: how='random' is --split random."""
    return ARGUMENT.sub(_as_option, sentence)


def _as_option(found: re.Match[str]) -> str:
    if found["subject"]:
        return OPTIONS[found["subject"]][0].rstrip()
    if not found["name"]:
        return found[0]
    option, usual = OPTIONS[found["name"]]
    if found["value"] == "None":
        return f"{option}out"  # "leave risk=None"
    return option + (found["value"] or usual).strip("'")


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
        sentence = in_options(str(error))
    return " ".join(sentence.split())
