"""Offer on the command line what concerns a lab's server: serve, and say who may use it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

__all__ = ["add_to", "server", "token"]

Lab = Annotated[Path | None, typer.Argument(metavar="LAB", help="The lab's file. Default: lab.yaml here.")]
LabFile = Annotated[Path | None, typer.Option("--lab", metavar="FILE", help="The lab's file. Default: lab.yaml here.")]
Name = Annotated[str, typer.Argument(help="Whose token.")]
Debug = Annotated[bool, typer.Option("--debug", help="Show the whole traceback of what goes wrong.")]

token = typer.Typer(help="Say who may use a lab's server.", no_args_is_help=True)
server = typer.Typer(help="Start a lab's server in the background, look at it, stop it.", no_args_is_help=True)


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("serve")(serve)
    app.add_typer(token, name="token")
    app.add_typer(server, name="server")


def serve(
    lab: Lab = None,
    host: Annotated[
        str | None, typer.Option(help="The address to listen on; others can reach all but the default, 127.0.0.1.")
    ] = None,
    port: Annotated[int | None, typer.Option(min=0, max=65535, help="The port (8600); 0 takes a free one.")] = None,
    *,
    certificate: Annotated[Path | None, typer.Option(metavar="FILE", help="A certificate, for https.")] = None,
    key: Annotated[Path | None, typer.Option(metavar="FILE", help="Its key, if that isn't in the same file.")] = None,
    allow_origin: Annotated[
        list[str] | None, typer.Option(metavar="SITE", help="Pages of this site may ask: https://plots.example.")
    ] = None,
    dashboard: Annotated[bool, typer.Option(help="Show the lab in browsers, too.")] = True,
    debug: Debug = False,
) -> None:
    """Serve a lab by HTTP to other programs and machines, until Ctrl-C.

    Who may use it is said by the tokens beside the lab's file; without any it answers on this machine only. What isn't
    said here stands under `server:` in the lab's file.
    """
    from actorlab.cli.telling import wrong_use  # noqa: PLC0415 - each command imports what it needs when it is called

    options = {"host": host, "port": port, "certificate": certificate, "key": key, "origins": allow_origin}
    with wrong_use(debug=debug):
        said = {name: value for name, value in options.items() if value is not None}
        raise typer.Exit(serving().serve_lab(lab, said, dashboard=dashboard))


@token.command("create")
def create_token(
    name: Name,
    role: Annotated[str, typer.Option(help="viewer: looks; operator: also acts; admin: also sees tracebacks.")],
    lab: LabFile = None,
    *,
    debug: Debug = False,
) -> None:
    """Make a token for somebody, and print it: only its hash is kept, beside the lab's file."""
    from actorlab.cli.telling import wrong_use  # noqa: PLC0415 - see above

    with wrong_use(debug=debug):
        made, first = serving().new_token(name, role, lab)
        typer.echo(made)
        if first:
            typer.echo("this is the first one: a server that runs asks for tokens when it is started again", err=True)


@token.command("list")
def list_tokens(lab: LabFile = None, *, debug: Debug = False) -> None:
    """List who has a token, as what, and since when."""
    from actorlab.cli.telling import wrong_use  # noqa: PLC0415 - see above

    with wrong_use(debug=debug):
        for entry in serving().tokens_of(lab):
            typer.echo(f"{entry['name']:20} {entry['role']:10} {entry['created']}".rstrip())


@token.command("revoke")
def revoke_token(name: Name, lab: LabFile = None, *, debug: Debug = False) -> None:
    """Take somebody's token away; a server that runs knows it at once."""
    from actorlab.cli.telling import wrong_use  # noqa: PLC0415 - see above

    with wrong_use(debug=debug):
        serving().revoke(name, lab)


@server.command("start")
def start_server(
    lab: Lab = None,
    wait: Annotated[float, typer.Option(min=0, help="It has so many seconds until it answers.")] = 60.0,
    *,
    debug: Debug = False,
) -> None:
    """Serve a lab in the background, if it isn't served yet."""
    from actorlab.cli.launching import start_server as start  # noqa: PLC0415 - see above
    from actorlab.cli.telling import wrong_use  # noqa: PLC0415

    with wrong_use(debug=debug):
        raise typer.Exit(start(lab, wait))


@server.command("status")
def server_status(lab: Lab = None, *, debug: Debug = False) -> None:
    """Say where a lab is served, by which process, and since when; the exit code is 1 if it isn't."""
    from actorlab.cli.launching import show_status  # noqa: PLC0415 - see above
    from actorlab.cli.telling import wrong_use  # noqa: PLC0415

    with wrong_use(debug=debug):
        raise typer.Exit(show_status(lab))


@server.command("stop")
def stop_server(
    lab: Lab = None,
    wait: Annotated[float, typer.Option(min=0, help="Wait at most so many seconds for its end.")] = 60.0,
    *,
    debug: Debug = False,
) -> None:
    """End a lab's server in order, and then the lab: its runs are cancelled, its devices made safe."""
    from actorlab.cli.launching import stop  # noqa: PLC0415 - see above
    from actorlab.cli.telling import wrong_use  # noqa: PLC0415

    with wrong_use(debug=debug):
        raise typer.Exit(stop(lab, wait))


@server.command("logs")
def server_logs(lab: Lab = None, *, debug: Debug = False) -> None:
    """Show the end of what a server that was started in the background has said."""
    from actorlab.cli.launching import show_log  # noqa: PLC0415 - see above
    from actorlab.cli.telling import wrong_use  # noqa: PLC0415

    with wrong_use(debug=debug):
        raise typer.Exit(show_log(lab))


def serving() -> Any:
    """Load what needs the extra `server`. Raise `ConfigError` if it isn't installed."""
    from actorlab.errors import ConfigError  # noqa: PLC0415 - see above

    try:
        from actorlab.cli import serving as loaded  # noqa: PLC0415
    except ModuleNotFoundError as error:
        message = f"the server needs the package {error.name}: pip install 'actorlab[server]'"
        raise ConfigError(message) from error
    return loaded
