"""Use a lab that runs somewhere else, through its server; start one where none runs."""

from actorlab.client.client import Client
from actorlab.client.launching import ensure_server
from actorlab.client.remote_device import RemoteDevice
from actorlab.client.remote_events import RemoteEvents
from actorlab.client.remote_lease import RemoteLease
from actorlab.client.remote_run import RemoteRun
from actorlab.client.remote_stream import RemoteStream
from actorlab.client.remote_task import RemoteTask

__all__ = [
    "Client", "RemoteDevice", "RemoteEvents", "RemoteLease", "RemoteRun", "RemoteStream", "RemoteTask", "ensure_server",
]  # fmt: skip
