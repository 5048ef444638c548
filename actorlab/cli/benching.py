"""Serve the simulated bench until somebody ends it."""

from __future__ import annotations

import signal

from actorlab.errors import ConfigError
from actorlab.simulation import STANDARD_PORTS, Bench

__all__ = ["serve_bench"]


def serve_bench(time_scale: float, host: str, *, any_port: bool) -> None:
    """Print the addresses of the instruments, and serve them until Ctrl-C or SIGTERM."""
    try:
        bench = Bench(time_scale, host, None if any_port else list(STANDARD_PORTS))
        bench.start()
    except ValueError as error:
        raise ConfigError(str(error)) from error
    except OSError as error:
        message = f"the bench can't listen: {error}; is another one running? --any-port takes free ports"
        raise ConfigError(message) from error
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        for name, resource in bench.resources.items():
            print(f"{name:<13} {resource}", flush=True)  # noqa: T201 - a command line prints
        print("Ctrl-C ends it", flush=True)  # noqa: T201
        bench.serve_forever()
    except KeyboardInterrupt:
        pass
    finally:
        bench.close()
