"""Ordering and sampling that depend only on the seed and the instance key.

Not on file order, number of workers, library versions or Python's `hash()`: every number comes from MD5 in
counter mode (a mixing function here, not a security measure).
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")

_SEPARATOR = "\x1f"


def order_sql(seed: int, key: str) -> str:
    """SQL expression of the selection order of a key expression: MD5 of seed and key, in hex."""
    return f"md5(concat('{int(seed)}', chr(31), {key}))"


class Draws:
    """A stream of random integers for one purpose of one instance.

    Args:
        seed: the compile's seed.
        key: the instance's key.
        purpose: name of the field drawn, so that two draws of one instance are independent.
    """

    def __init__(self, seed: int, key: str, purpose: str) -> None:
        self._prefix = _SEPARATOR.join((str(seed), purpose, key)).encode("utf-8", "surrogatepass")
        self._counter = 0

    def below(self, n: int) -> int:
        """A uniform integer in [0, n). The bias of the 128-bit reduction is below n / 2**128."""
        if n < 1:
            raise ValueError(f"cannot draw below {n}")
        self._counter += 1
        digest = hashlib.md5(self._prefix + self._counter.to_bytes(4, "big"), usedforsecurity=False).digest()
        return int.from_bytes(digest, "big") * n >> 128

    def shuffled(self, items: Sequence[T]) -> list[T]:
        """The items in random order (Fisher-Yates)."""
        result = list(items)
        for i in range(len(result) - 1, 0, -1):
            j = self.below(i + 1)
            result[i], result[j] = result[j], result[i]
        return result

    def sample(self, items: Sequence[T], count: int) -> list[T]:
        """`count` items without replacement, in random order; all of them if there are fewer."""
        pool = list(items)
        chosen = []
        for _ in range(min(count, len(pool))):
            index = self.below(len(pool))
            pool[index], pool[-1] = pool[-1], pool[index]
            chosen.append(pool.pop())
        return chosen
