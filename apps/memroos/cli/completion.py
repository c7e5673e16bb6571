"""`memroos completion`: for the shell."""

import click
from click.shell_completion import get_completion_class

SHELLS = ("bash", "zsh", "fish")


@click.command()
@click.argument("shell", type=click.Choice(SHELLS))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print the completion script of a shell, to be loaded at its start.

    \b
    bash: eval "$(memroos completion bash)"               in ~/.bashrc
    zsh:  eval "$(memroos completion zsh)"                in ~/.zshrc
    fish: memroos completion fish | source                in ~/.config/fish/config.fish
    """
    scripts = get_completion_class(shell)
    assert scripts is not None
    click.echo(scripts(context.find_root().command, {}, "memroos", "_MEMROOS_COMPLETE").source())
