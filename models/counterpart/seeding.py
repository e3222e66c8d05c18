"""Turns what a random number belongs to into a seed, so that a run can be replayed in any order."""

from __future__ import annotations

import hashlib


def derived_seed(*numbers: int) -> int:
    """A 63-bit seed that depends on all the numbers and on nothing else."""
    text = "/".join(str(number) for number in numbers)
    digest = hashlib.blake2b(text.encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1
