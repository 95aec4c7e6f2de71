"""Pairs whose bug lies in the examples: scale, split, order, labels, augmentation."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn
from torch.nn import functional
from torch.utils.data import DataLoader, Dataset, IterableDataset, TensorDataset, get_worker_info
from zoo.loops import batched, classes, classifier, mlp, numbers, pair, regressor


@pair("input_scale")
def pixels_from_0_to_255(bug):
    x, y = classes()
    val_x, val_y = classes(64, seed=1)
    scale = 100.0 if bug else 1.0
    return classifier(mlp(8, 16, 3), train=batched(x * scale, y), val=batched(val_x * scale, val_y))


@pair("input_scale")
def one_feature_in_other_units(bug):
    unit = torch.ones(8)
    unit[3] = 5000.0 if bug else 1.0
    x, y = numbers()
    val_x, val_y = numbers(64, seed=1)
    return regressor(mlp(8, 16, 1), train=batched(x * unit, y), val=batched(val_x * unit, val_y))


@pair("target_scale")
def targets_in_dollars(bug):
    x, y = numbers()
    val_x, val_y = numbers(64, seed=1)
    scale, offset = (80_000.0, 250_000.0) if bug else (1.0, 0.0)
    return regressor(
        mlp(8, 16, 1), train=batched(x, y * scale + offset), val=batched(val_x, val_y * scale + offset), lr=1e-3
    )


@pair("split_statistics")
def validation_not_standardised(bug):
    x, y = numbers()
    val_x, val_y = numbers(64, seed=1)
    raw = val_x * 4 + 6 if bug else val_x
    return regressor(mlp(8, 16, 1), train=batched(x, y), val=batched(raw, val_y))


@pair("split_statistics")
def validation_targets_not_standardised(bug):
    val_x, val_y = numbers(64, seed=1)
    return regressor(mlp(8, 16, 1), val=batched(val_x, val_y * 20 + 50 if bug else val_y))


@pair("constant_inputs")
def a_column_lost_in_a_join(bug):
    x, y = classes()
    val_x, val_y = classes(64, seed=1)
    if bug:
        x, val_x = x.clone(), val_x.clone()
        x[:, 2] = val_x[:, 2] = -1.5
    return classifier(mlp(8, 16, 3), train=batched(x, y), val=batched(val_x, val_y))


@pair("not_finite")
def a_gap_in_the_file(bug):
    x, y = numbers()
    if bug:
        x = x.clone()
        x[40, 1] = torch.nan
    return regressor(mlp(8, 16, 1), train=batched(x, y))


@pair("overlap")
def split_after_oversampling(bug):
    x, y = classes(320)
    val = torch.arange(256, 320) if not bug else torch.arange(200, 264)
    return classifier(mlp(8, 16, 3), train=batched(x[:256], y[:256]), val=batched(x[val], y[val]))


@pair("sorted_labels")
def examples_sorted_by_class(bug):
    x, y = classes()
    order = y.argsort() if bug else torch.arange(len(y))
    return classifier(mlp(8, 16, 3), train=batched(x[order], y[order]))


@pair("labels_independent")
def inputs_shuffled_without_their_labels(bug):
    x, y = classes()
    order = torch.randperm(len(x), generator=torch.Generator().manual_seed(3)) if bug else torch.arange(len(x))
    return classifier(mlp(8, 16, 3), train=batched(x[order], y))


@pair("fixed_order")
def generator_seeded_every_epoch(bug):
    class Seeded(TensorDataset):
        """A dataset under a loader whose sampler is seeded."""

    class Loader(DataLoader):
        """A loader that seeds its generator in every pass."""

        def __iter__(self):
            if bug:
                self.generator.manual_seed(0)
            return super().__iter__()

    loader = Loader(Seeded(*classes()), batch_size=32, shuffle=True, generator=torch.Generator().manual_seed(0))
    return classifier(mlp(8, 16, 3), train=loader)


GENERATOR = np.random.default_rng(0)


class Noisy(Dataset):
    """Examples with noise on their inputs, from a generator of its own or torch's."""

    def __init__(self, own, level=0.1):
        self.x, self.y = classes()
        self.generator = np.random.default_rng(0) if own else None
        self.level = level

    def __len__(self):
        """All examples."""
        return len(self.x)

    def __getitem__(self, index):
        """An example with fresh noise."""
        if self.generator is None:
            noise = torch.randn(8)
        else:
            noise = torch.from_numpy(self.generator.standard_normal(8)).float()
        return self.x[index] + self.level * noise, self.y[index]


def in_workers(dataset, init_fn=None):
    """Look at the loader of a dataset with two workers before training; the loop itself would start many more."""
    from goldmark import preflight

    model = mlp(8, 16, 3)
    loader = DataLoader(dataset, batch_size=32, num_workers=2, worker_init_fn=init_fn)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    return list(preflight(model, optimizer, loader, None, functional.cross_entropy).names)


@pair("worker_randomness")
def workers_that_augment_alike(bug):
    return in_workers(Noisy(own=bug))


@pair("worker_randomness")
def a_generator_of_the_module_in_every_worker(bug):
    class Shifted(Noisy):
        """Examples with noise of a generator that the module keeps, or of numpy's own."""

        def __getitem__(self, index):
            """An example with fresh noise."""
            noise = GENERATOR.standard_normal(8) if bug else np.random.standard_normal(8)  # noqa: NPY002
            return self.x[index] + 0.1 * torch.from_numpy(noise).float(), self.y[index]

    return in_workers(Shifted(own=False))


@pair("worker_randomness")
def workers_seeded_with_one_number(bug):
    def init_fn(worker):
        info = get_worker_info()
        info.dataset.generator = np.random.default_rng(0 if bug else info.seed)

    return in_workers(Noisy(own=True), init_fn)


@pair("worker_randomness")
def workers_seeded_alike_in_every_epoch(bug):
    def init_fn(worker):
        torch.manual_seed(worker if bug else get_worker_info().seed)

    return in_workers(Noisy(own=False), init_fn)


@pair("augmentation_without_effect")
def augmentation_of_probability_zero(bug):
    loader = DataLoader(Noisy(own=False, level=0.0 if bug else 0.1), batch_size=32)
    return classifier(mlp(8, 16, 3), train=loader, intent={"augmented": True})


@pair("labels_out_of_range")
def an_output_too_many(bug):
    return classifier(mlp(8, 16, 4 if bug else 3), intent={"n_classes": 3})


@pair("wrapped_labels")
def more_classes_than_eight_bits_hold(bug):
    kept = torch.uint8 if bug else torch.int64
    halves = [batched(x, y.to(kept).long(), size=64) for x, y in (classes(n, n_classes=280) for n in (2400, 320))]
    return classifier(mlp(8, 32, 280), train=halves[0], val=halves[1], epochs=1)


@pair("target_among_inputs")
def a_window_that_ends_with_its_target(bug):
    series = torch.randn(400, generator=torch.Generator().manual_seed(0)).cumsum(0) / 8
    windows = series.unfold(0, 9, 1)
    x, y = windows[:, 1:] if bug else windows[:, :8], windows[:, 8:]
    return regressor(mlp(8, 16, 1), train=batched(x[:256], y[:256]), val=batched(x[300:364], y[300:364]))


def with_column(column_of, halves):
    """Batches of two halves whose tables get a column that is made of their targets (N,), and standardised."""
    columns = [column_of(y.flatten(), torch.Generator().manual_seed(len(y))).float() for _, y in halves]
    centre, spread = columns[0].mean(), columns[0].std()
    added = [(column[:, None] - centre) / spread for column in columns]
    return [batched(torch.cat([x, one], dim=1), y) for (x, y), one in zip(halves, added, strict=True)]


def itself(y, generator):
    """The targets."""
    return y


def noise_like(y, generator):
    """Numbers that have nothing to do with the targets."""
    return torch.randn(y.shape, generator=generator)


@pair("target_among_inputs")
def a_label_column_left_in_a_standardised_table(bug):
    halves = with_column(itself if bug else noise_like, (classes(), classes(64, seed=1)))
    return classifier(mlp(9, 16, 3), train=halves[0], val=halves[1])


@pair("target_among_inputs")
def a_field_that_is_filled_in_after_the_outcome(bug):
    def calls(y, generator):
        """How often a patient who came back was called, or everybody was."""
        return torch.randint(1, 5, y.shape, generator=generator) * (y if bug else 1)

    tables = (classes(n_classes=2), classes(64, n_classes=2, seed=1))
    halves = with_column(calls, [(x, y.float()[:, None]) for x, y in tables])
    loss_fn = functional.binary_cross_entropy_with_logits
    return classifier(mlp(9, 16, 1), train=halves[0], val=halves[1], loss_fn=loss_fn)


@pair("target_among_inputs")
def a_price_left_in_a_standardised_table(bug):
    halves = with_column(itself if bug else noise_like, (numbers(), numbers(64, seed=1)))
    return regressor(mlp(9, 16, 1), train=halves[0], val=halves[1])


@pair("label_numbering")
def classes_numbered_anew_in_validation(bug):
    val_x, val_y = classes(64, seed=1)
    return classifier(mlp(8, 16, 3), val=batched(val_x, (val_y + 1) % 3 if bug else val_y))


@pair("inputs_modified")
def standardised_in_place_in_every_pass(bug):
    class InPlace(torch.nn.Module):
        """A network that centres its inputs, in their own memory or not."""

        def __init__(self):
            super().__init__()
            self.layers = mlp(8, 16, 3)

        def forward(self, x):
            """Logits (B, 3)."""
            if bug:
                x -= 0.5
            else:
                x = x - 0.5
            return self.layers(x)

    return classifier(InPlace())


@pair("overlapping_windows")
def overlapping_windows_split_at_random(bug):
    series = torch.sin(torch.arange(330) * 0.1) + 0.1 * torch.randn(330, generator=torch.Generator().manual_seed(0))
    windows = series.unfold(0, 9, 1)
    x, y = windows[:, :8], windows[:, 8:]
    order = torch.randperm(len(x), generator=torch.Generator().manual_seed(1)) if bug else torch.arange(len(x))
    train, val = order[:250], order[-64:]
    return regressor(mlp(8, 16, 1), train=batched(x[train], y[train]), val=batched(x[val], y[val]))


@pair("labels_independent")
def targets_moved_by_one_row(bug):
    x, y = numbers()
    return regressor(mlp(8, 16, 1), train=batched(x, y.roll(1, dims=0) if bug else y))


@pair("labels_independent")
def labels_shuffled_before_the_split(bug):
    x, y = classes(320)
    y = y[torch.randperm(320, generator=torch.Generator().manual_seed(0))] if bug else y
    return classifier(mlp(8, 16, 3), train=batched(x[:256], y[:256]), val=batched(x[256:], y[256:]))


@pair("worker_shards")
def a_stream_that_every_worker_reads_whole(bug):
    class Stream(IterableDataset):
        """Examples in their order, all of them, or those of a worker."""

        def __iter__(self):
            """Examples."""
            info = get_worker_info()
            start, step = (0, 1) if bug or info is None else (info.id, info.num_workers)
            return zip(*(one[start::step] for one in classes()), strict=True)

    return in_workers(Stream())


@pair("split_by_class")
def classes_cut_in_the_order_in_which_they_are_stored(bug):
    x, y = classes(320, n_classes=5)
    order = y.argsort(stable=True) if bug else torch.randperm(320, generator=torch.Generator().manual_seed(0))
    halves = [TensorDataset(x[half], y[half]) for half in (order[:256], order[256:])]
    train, val = (DataLoader(half, batch_size=32, shuffle=place == 0) for place, half in enumerate(halves))
    return classifier(mlp(8, 16, 5), train=train, val=val)


class Squares(Dataset):
    """Pictures (1, 12, 12) of a bright square that covers some corner or none, mirrored at random; and its mask."""

    def __init__(self, seed, mirror):
        generator = torch.Generator().manual_seed(seed)
        rows, columns = torch.randint(0, 8, (2, 64), generator=generator).tolist()
        self.masks, self.mirror = torch.zeros(64, 1, 12, 12), mirror
        for mask, row, column in zip(self.masks, rows, columns, strict=True):
            mask[0, row : row + 4, column : column + 5] = 1
        self.pictures = 2 * self.masks - 0.3 + 0.5 * torch.randn(64, 1, 12, 12, generator=generator)

    def __len__(self):
        """All pictures."""
        return len(self.masks)

    def __getitem__(self, index):
        """A picture and its mask, after the mirrors."""
        return self.mirror(self.pictures[index], self.masks[index])


def segmented(mirror):
    """Look at a segmentation of squares whose pictures and masks are mirrored."""
    train = DataLoader(Squares(0, mirror), batch_size=16, shuffle=True)
    val = DataLoader(Squares(1, lambda picture, mask: (picture, mask)), batch_size=16)
    model = nn.Sequential(nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 1, 3, padding=1))
    return regressor(model, train=train, val=val, loss_fn=functional.binary_cross_entropy_with_logits)


def sides():
    """The dimensions of a picture that are mirrored this time."""
    return [side for side in (-2, -1) if torch.rand(()) < 0.5]


@pair("misaligned_augmentation")
def masks_that_stay_as_their_pictures_are_mirrored(bug):
    def mirror(picture, mask):
        drawn = sides()
        return picture.flip(drawn), mask if bug else mask.flip(drawn)

    return segmented(mirror)


@pair("misaligned_augmentation")
def pictures_and_masks_that_draw_their_own_mirrors(bug):
    def mirror(picture, mask):
        drawn = sides()
        brighter = (1 + 0.2 * torch.rand(())) * picture + 0.2 * torch.rand(())
        return brighter.flip(drawn), mask.flip(sides() if bug else drawn)

    return segmented(mirror)


class Corners(Squares):
    """The same pictures, of whose squares the first and the last corner are to be told."""

    def __getitem__(self, index):
        """A picture and the shares (2, 2) of its height and width at which corners lie, after the mirrors."""
        picture, mask = super().__getitem__(index)
        places = mask[0].nonzero()
        return picture, torch.stack([places[0], places[-1]]) / 11


@pair("misaligned_augmentation")
def corners_that_stay_as_their_pictures_are_mirrored(bug):
    def mirror(picture, mask):
        drawn = sides()
        return picture.flip(drawn), mask if bug else mask.flip(drawn)

    train = DataLoader(Corners(0, mirror), batch_size=16, shuffle=True)
    val = DataLoader(Corners(1, lambda picture, mask: (picture, mask)), batch_size=16)
    net = [nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(288, 4)]
    return regressor(nn.Sequential(*net, nn.Unflatten(1, (2, 2))), train=train, val=val)


@pair("contradictory_labels")
def labels_of_two_files_that_count_from_0_and_from_1(bug):
    x, y = classes(320, n_classes=5)
    again = slice(0, 120)
    train = batched(torch.cat([x, x[again]]), torch.cat([y, (y[again] + 1) % 5])) if bug else batched(x, y)
    return classifier(mlp(8, 16, 5), train=train, val=batched(*classes(64, n_classes=5, seed=1)))
