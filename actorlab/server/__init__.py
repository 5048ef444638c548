"""Offer a lab to other programs and machines by HTTP: a router to mount, an application, a server.

It comes with the extra `server`; nothing else needs it.
"""

from actorlab.server.application import app, router
from actorlab.server.serving import Server
from actorlab.server.tokens import Role, Tokens, create_token, list_tokens, revoke_token

__all__ = ["Role", "Server", "Tokens", "app", "create_token", "list_tokens", "revoke_token", "router"]
