"""Offer a lab to other programs and machines by HTTP: a router to mount, an application, a server.

It comes with the extra `server`; nothing else needs it.
"""

try:
    from actorlab.server.application import app, router
    from actorlab.server.serving import Server
    from actorlab.server.tokens import Role, Tokens, create_token, list_tokens, revoke_token
except ModuleNotFoundError as error:
    text = f"the server needs the package {error.name}: pip install 'actorlab[server]'"
    raise ModuleNotFoundError(text, name=error.name) from error

__all__ = ["Role", "Server", "Tokens", "app", "create_token", "list_tokens", "revoke_token", "router"]
