"""Use a lab that runs somewhere else, through its server; it comes with the extra `server`."""

from actorlab.client.client import Client
from actorlab.client.remote_device import RemoteDevice
from actorlab.client.remote_lease import RemoteLease
from actorlab.client.remote_run import RemoteRun

__all__ = ["Client", "RemoteDevice", "RemoteLease", "RemoteRun"]
