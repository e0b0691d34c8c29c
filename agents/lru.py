"""Caches that forget what was least recently used, so that a policy that serves for long stays of one size."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class LRU(Generic[K, V]):
    """At most `most` values by key (None: until told); each use makes a key recent. forgotten: is told what goes."""

    def __init__(self, most: int | None = None, forgotten: Callable[[K, V], None] = lambda _key, _value: None) -> None:
        self._most, self._forgotten = most, forgotten
        self._values: OrderedDict[K, V] = OrderedDict()

    def __contains__(self, key: object) -> bool:
        return key in self._values

    def __len__(self) -> int:
        return len(self._values)

    def get(self, key: K) -> V | None:
        """The value of a key, None where it is not known."""
        if key not in self._values:
            return None
        self._values.move_to_end(key)
        return self._values[key]

    def put(self, key: K, value: V) -> V:
        """Keeps a value, and gives it back."""
        self._values[key] = value
        self._values.move_to_end(key)
        if self._most is not None and len(self._values) > self._most:
            self.forget_oldest()
        return value

    def forget_oldest(self) -> None:
        """Forgets what was least recently used."""
        self._forgotten(*self._values.popitem(last=False))

    def clear(self) -> None:
        """Forgets all."""
        self._values.clear()
