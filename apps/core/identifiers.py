"""Ids of rows that are written with every sale."""

import os
import time
from uuid import UUID

_VERSION_AND_VARIANT = 0x7 << 76 | 0x2 << 62
_RANDOM = ~(0xF << 76 | 0x3 << 62) & ((1 << 80) - 1)  # all but the bits of version and variant


def new_id() -> UUID:
    """Return a UUID of version 7: the milliseconds since 1970, then 74 random bits (RFC 9562, section 5.7).

    Rows of one time stand beside each other in each index of such ids, so a sale writes to the same few pages however many
    sales there were before. Among random ids each row falls into a page of its own, which has to be read, and logged whole
    after each checkpoint. An id tells when its row was made; it is no secret that opens anything.
    """
    milliseconds = time.time_ns() // 1_000_000
    random = int.from_bytes(os.urandom(10)) & _RANDOM
    return UUID(int=milliseconds << 80 | _VERSION_AND_VARIANT | random)
