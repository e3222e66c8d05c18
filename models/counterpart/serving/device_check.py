"""Checks that torch can compute on a device; run beside a server that starts.

``python -m counterpart.serving.device_check DEVICE`` says what is wrong in one sentence. It is a
process of its own, because torch takes seconds to load and the launcher, which lives as long as
the server, is better without it.
"""

from __future__ import annotations

import sys

from counterpart.errors import ServingError


def check_device(device: str) -> None:
    """Refuse a device that this machine lacks.

    Raises:
        ServingError: It does.
    """
    import torch

    try:
        torch.zeros(1, device=torch.device(device))
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).splitlines()[0].rstrip(".")
        raise ServingError(
            f"--device {device}: this machine cannot compute there ({reason}); cpu always works."
        ) from error


def main() -> int:
    """Check the device that the arguments name.

    Returns:
        0, or 2 after a sentence on stderr.
    """
    try:
        check_device(sys.argv[1])
    except ServingError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
