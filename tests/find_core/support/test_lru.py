"""The least recently used entry goes, whichever way it was used."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from find_core.support.lru import Lru


def test_least_recently_used_goes_first():
    lru: Lru[str, int] = Lru(2)
    lru.put("a", 1)
    lru.put("b", 2)
    assert lru.get("a") == 1
    lru.put("c", 3)
    assert list(lru) == ["a", "c"] and len(lru) == 2
    assert lru.get("b") is None
    lru.put("a", 4)
    assert lru.peek("c") == 3, "a look does not keep it"
    lru.put("d", 5)
    assert list(lru) == ["a", "d"] and lru.get("a") == 4


def test_threads_keep_it_in_bounds():
    lru: Lru[int, int] = Lru(8)

    def use(worker: int) -> None:
        for n in range(500):
            lru.put((worker * n) % 40, n)
            lru.get(n % 40)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(use, range(4)))
    assert len(lru) == 8 == len(lru.items())
