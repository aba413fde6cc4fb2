"""Samples that are random but fixed: they depend on the names alone, not on their number or order."""

import hashlib
from collections.abc import Sequence


def in_hash_order(names: Sequence[str], salt: str = "") -> list[str]:
    """``names`` in an order that depends on each name and ``salt`` alone: the first n are a fixed random sample."""
    return sorted(names, key=lambda name: hashlib.blake2b(f"{salt} {name}".encode(), digest_size=8).digest())
