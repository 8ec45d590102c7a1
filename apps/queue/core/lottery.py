"""The lottery among those who arrive before opening.

A place is the HMAC-SHA1 (RFC 2104) of concert and customer under a key that the room alone has: uniform, the same when drawn
again, and not to be computed by the visitor. The room draws in Lua, which knows SHA-1 only; HMAC does not depend on what SHA-1
has lost. Here are the two blocks that HMAC derives from its key.
"""

BLOCK_BYTES = 64


def key_blocks(key: bytes) -> tuple[bytes, bytes]:
    """Return the key, at most 64 bytes, padded and combined with HMAC's inner and outer pad: 64 bytes each.

    :raises ValueError: the key is longer.
    """
    if len(key) > BLOCK_BYTES:
        raise ValueError("The key must not be longer than a block.")
    padded = key.ljust(BLOCK_BYTES, b"\0")
    return bytes(byte ^ 0x36 for byte in padded), bytes(byte ^ 0x5C for byte in padded)
