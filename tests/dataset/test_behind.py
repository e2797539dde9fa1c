"""A thread that writes while its owner goes on."""

from __future__ import annotations

import os
import threading

import pytest

from vision_flan.dataset.behind import AHEAD, Behind


def test_calls_run_in_order_in_one_other_thread() -> None:
    behind, done = Behind(), []
    for number in range(20):
        behind.run(lambda number=number: done.append((number, threading.get_ident())))
    behind.wait()
    behind.close()
    assert [number for number, _ in done] == list(range(20))
    assert len({thread for _, thread in done} - {threading.get_ident()}) == 1


def test_without_a_core_to_spare_calls_run_in_the_thread_of_their_owner() -> None:
    behind, done = Behind(apart=False), []
    behind.run(lambda: done.append(threading.get_ident()))
    assert done == [threading.get_ident()]
    with pytest.raises(OSError, match="No space left"):
        behind.run(lambda: os.write(os.open("/dev/full", os.O_WRONLY), b"x"))
    behind.wait()
    behind.close()


def test_only_so_many_calls_wait() -> None:
    behind, go, started = Behind(), threading.Event(), []
    for _ in range(AHEAD):
        behind.run(lambda: go.wait(10))
    late = threading.Thread(target=lambda: (behind.run(lambda: None), started.append(True)))
    late.start()
    late.join(0.2)
    assert not started, "a row group too many is held in memory"
    go.set()
    late.join(10)
    assert started
    behind.wait()
    behind.close()


def test_an_error_reaches_the_owner_and_nothing_is_run_after_it() -> None:
    behind, done = Behind(), []

    def fail() -> None:
        raise OSError(28, "No space left on device")

    behind.run(fail)
    with pytest.raises(OSError, match="No space left"):
        for _ in range(AHEAD + 1):
            behind.run(lambda: done.append(True))
        behind.wait()
    behind.close()
    assert not done


def test_closing_after_an_error_says_nothing_more() -> None:
    behind = Behind()
    behind.run(lambda: 1 / 0)  # type: ignore[arg-type]
    behind.close()
