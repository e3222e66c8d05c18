"""``python -m counterpart.retraining RUN``: carry out, or go on with, the plan in a folder."""

from __future__ import annotations

import sys
from pathlib import Path

from counterpart.retraining.exit_codes import EXIT_BAD_PLAN


def main(arguments: list[str]) -> int:
    """Carry out the plan of the folder that is named.

    Returns:
        One of `counterpart.retraining.exit_codes`.
    """
    if len(arguments) != 1 or arguments[0].startswith("-"):
        print("usage: python -m counterpart.retraining RUN", file=sys.stderr)
        return EXIT_BAD_PLAN
    from counterpart.retraining.pipeline import carry_out

    return carry_out(Path(arguments[0]))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
