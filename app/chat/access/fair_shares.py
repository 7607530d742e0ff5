"""Divides a limited amount between owners, such that none of them can take all of it."""

from __future__ import annotations

import ipaddress
from collections import Counter
from functools import lru_cache

from app.chat.fleet.fair_queue import Share

# An owner may hold this many times the amount that is free: 89 % if it is alone, and each of four
# owners that take all they can gets 24 %. So a part is always free for one more owner.
_TIMES_THE_FREE_AMOUNT = 8
# Whose shares are kept, so that not each request parses its address.
_MOST_ADDRESSES = 1024


class FairShares:
    """Dynamic thresholds: what an owner may hold shrinks as the free amount shrinks."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.held = 0
        self._by_owner: Counter[str] = Counter()

    def take(self, share: Share, amount: int = 1) -> bool:
        """Take an amount for an owner; returns False, and takes nothing, over its share."""
        free = self.limit - self.held
        most = _TIMES_THE_FREE_AMOUNT * share.weight * free
        if amount > free or self._by_owner[share.owner] + amount > most:
            return False
        self.held += amount
        self._by_owner[share.owner] += amount
        return True

    def give_back(self, share: Share, amount: int = 1) -> None:
        self.held -= amount
        self._by_owner[share.owner] -= amount
        if not self._by_owner[share.owner]:
            del self._by_owner[share.owner]


@lru_cache(maxsize=_MOST_ADDRESSES)
def address_share(host: str) -> Share:
    """The share of a network address; a client usually has a whole /64 of IPv6 addresses."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return Share(f"address {host}")
    if address.version == 6:
        host = str(ipaddress.ip_network((address, 64), strict=False))
    return Share(f"address {host}")
