"""Whether torch can run on the device that the settings name."""

import torch

from server.settings import PREFIX


class DeviceError(RuntimeError):
    """No inference can run there; the message says what to do."""


def check_device(name: str) -> None:
    """Put something on a device; what cannot be there now would fail with each model, one after the other.

    Raises:
        DeviceError: if that does not work.
    """
    try:
        torch.empty(1, device=name)
    except (RuntimeError, AssertionError) as error:  # the latter: a torch that was built without it
        reason = str(error).splitlines()[0].rstrip(".")
        raise DeviceError(
            f"{PREFIX}DEVICE: torch {torch.__version__} cannot use {name!r} here ({reason}); name cpu, or a "
            "CUDA device that this machine has, and that the container is given (compose's profile gpu does)"
        ) from error
