"""Datasets that change as they are read, and are meant to: caches, counts, arrays that every reading fills anew."""

from __future__ import annotations

import torch
from torch.utils.data import DataLoader, Dataset
from zoo.healthy.register import healthy
from zoo.loops import classes, classifier, mlp


class Counting(Dataset):
    """Examples that are prepared at their first reading, counted, and handed out in one array."""

    def __init__(self):
        self.inputs, self.labels = classes()
        self.prepared, self.done = torch.zeros_like(self.inputs), set()
        self.readings = torch.zeros(len(self.labels))
        self.room = torch.zeros(8)

    def __len__(self):
        """All examples."""
        return len(self.labels)

    def __getitem__(self, index):
        """An example from the cache."""
        if index not in self.done:
            self.prepared[index] = self.inputs[index] / 1.5
            self.done.add(index)
        self.readings[index] += 1
        self.room.copy_(self.prepared[index])
        return self.room.add(0.1 * torch.randn(8)), self.labels[index]


@healthy
def a_cache_that_fills_as_it_is_read():
    dataset = Counting()
    names = classifier(mlp(8, 16, 3), train=DataLoader(dataset, batch_size=32), intent={"augmented": True})
    assert torch.equal(dataset.inputs / 1.5, dataset.prepared)
    return names
