import numpy as np
import pytest

from trainer.data import BatchSampler, batch_sizes

LENGTHS = np.random.default_rng(0).integers(1, 40, size=500).tolist()


def test_every_example_comes_once_an_epoch():
    sampler = BatchSampler(LENGTHS, 32, seed=1)
    for epoch in range(3):
        batches = list(sampler)
        assert sorted(index for batch, _ in batches for index in batch) == list(range(500))
        assert len(batches) == len(sampler) == 16, epoch
        assert all(len(batch) == total <= 32 for batch, total in batches)


def test_batches_are_of_like_length_and_change_from_epoch_to_epoch():
    sampler = BatchSampler(LENGTHS, 25, seed=1)
    first, second = list(sampler), list(sampler)
    for batch, _ in first:
        lengths = [LENGTHS[index] for index in batch]
        assert max(lengths) - min(lengths) <= 5
    assert {tuple(sorted(batch)) for batch, _ in first} != {tuple(sorted(batch)) for batch, _ in second}
    order = [max(LENGTHS[index] for index in batch) for batch, _ in first]
    assert order != sorted(order)
    assert order != sorted(order, reverse=True)


def test_the_order_depends_on_seed_and_step_alone():
    whole = BatchSampler(LENGTHS, 32, seed=3)
    stream = [batch for _ in range(3) for batch in whole]
    for step in (0, 5, 16, 37):
        sampler = BatchSampler(LENGTHS, 32, seed=3)
        sampler.skip_to(step)
        rest = [batch for _ in range(3 - step // 16) for batch in sampler]
        assert rest == stream[step:]
    assert list(BatchSampler(LENGTHS, 32, seed=4)) != stream[:16]


def test_processes_share_each_batch():
    whole = list(BatchSampler(LENGTHS, 33, seed=2))
    parts = [list(BatchSampler(LENGTHS, 33, seed=2, rank=rank, processes=3)) for rank in range(3)]
    for batch, *shares in zip(whole, *parts, strict=True):
        together = [index for share, _ in shares for index in share]
        assert sorted(together) == sorted(batch[0])
        assert all(share and total == batch[1] for share, total in shares)


def test_token_budget():
    sizes = batch_sizes([20, 10, 10, 5, 5, 5, 5, 2], batch_size=4, tokens=20)
    assert sizes == [1, 2, 4, 1]
    assert batch_sizes([50], batch_size=4, tokens=20) == [1]


def test_no_process_goes_without():
    assert batch_sizes([9] * 5, batch_size=2, tokens=None, at_least=2) == [2, 3]
    with pytest.raises(ValueError, match="2 processes need as many examples; got 1"):
        batch_sizes([9], batch_size=2, tokens=None, at_least=2)
