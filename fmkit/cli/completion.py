"""`fmkit completion`: what a shell needs to complete fmkit's commands and options."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print a script that completes fmkit's commands, options and files in a SHELL.

    \b
    fmkit completion bash >> ~/.bashrc
    fmkit completion zsh >> ~/.zshrc
    fmkit completion fish > ~/.config/fish/completions/fmkit.fish
    """
    kind = get_completion_class(shell)
    assert kind is not None
    root = click.get_current_context().find_root()
    click.echo(kind(root.command, {}, "fmkit", "_FMKIT_COMPLETE").source())
