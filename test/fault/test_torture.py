"""A short run of torture.py; `make torture` is the long one."""

import random

import pytest

import torture


def test_acknowledged_is_counted_exactly_once_through_kills_and_a_bad_network(tmp_path):
    pytest.importorskip("msgpack")
    seed = random.SystemRandom().getrandbits(32)
    print(f"seed {seed}")  # shown when the test fails
    torture.torture(tmp_path, kills=20, seed=seed)
