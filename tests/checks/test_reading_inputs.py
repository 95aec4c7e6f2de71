"""How inputs are read: as images of a layout, positions of a table, tokens of which one pads, classes or numbers."""

import torch
from torch import nn

from goldmark import checks


def test_a_view_of_images_is_told_from_a_permutation():
    """Shifted, scaled or negated, numbers in one order are the same; images of one channel are the same either way."""
    images = torch.rand(4, 8, 8, 3, generator=torch.Generator().manual_seed(0))
    assert checks.check_viewed_channels(images, 0.5 - 2 * images.reshape(4, 3, 8, 8)).trouble
    assert not checks.check_viewed_channels(images, images.permute(0, 3, 1, 2)).trouble
    assert not checks.check_viewed_channels(images[..., :1], images[..., :1].reshape(4, 1, 8, 8)).trouble


def test_interleaved_channels_are_told_by_what_is_alike():
    """Smooth pictures of three colours; no alarm for stripes of that width, noise, one channel, or many."""
    generator = torch.Generator().manual_seed(0)
    ramps, tint = (
        torch.linspace(0, 1, 9)[:, None, None] * torch.linspace(0, 1, 9)[:, None],
        torch.tensor([0.0, 2.0, 5.0]),
    )
    pictures = (ramps + tint).repeat(8, 1, 1, 1) + 0.05 * torch.randn(8, 9, 9, 3, generator=generator)
    assert checks.check_interleaved_channels(pictures.reshape(8, 3, 9, 9)).trouble
    assert not checks.check_interleaved_channels(pictures.permute(0, 3, 1, 2)).trouble
    assert not checks.check_interleaved_channels(torch.eye(3).repeat(1, 3)[0].expand(8, 3, 9, 9) + 0).trouble
    assert not checks.check_interleaved_channels(torch.randn(8, 3, 9, 9, generator=generator)).trouble
    assert not checks.check_interleaved_channels(pictures[..., :1].reshape(8, 1, 9, 9)).trouble
    assert not checks.check_interleaved_channels(torch.arange(9.0).expand(8, 9, 9, 9)).trouble


def test_a_row_that_goes_with_the_length_is_none_of_positions():
    """One row whatever the length, or as many as there are positions, passes."""
    assert checks.check_one_position([10], [8], 10).trouble
    assert not checks.check_one_position([0], [0], 10).trouble
    assert not checks.check_one_position(list(range(10)), list(range(8)), 10).trouble


def test_a_padding_idx_counts_where_it_is_in_use():
    """Another than the token that pads passes where no input holds it, as does none."""
    tokens = torch.tensor([[3, 1, 0, 0]])
    assert checks.check_padding_idx(tokens, 1, 0).trouble
    assert not any(checks.check_padding_idx(tokens, index, 0).trouble for index in (0, 2, None))


def test_classes_are_numbers_of_at_least_three():
    """Two classes have an order, and targets between whole numbers are none of classes."""
    assert checks.check_classes_as_numbers(torch.tensor([0.0, 1.0, 2.0]), 3).trouble
    assert not checks.check_classes_as_numbers(torch.tensor([0.0, 1.0]), 2).trouble
    assert not checks.check_classes_as_numbers(torch.tensor([0.0, 1.0, 1.5]), 3).trouble


def test_parts_that_stay_in_eval_mode_are_left_there():
    """What train() leaves in eval mode is left there both times."""

    class Half(nn.Module):
        """Two dropouts, of which one stays off."""

        def __init__(self):
            super().__init__()
            self.off, self.on = nn.Dropout(0.5), nn.Dropout(0.5)

        def train(self, mode=True):  # noqa: FBT002
            """Set the mode of the second."""
            self.off.eval()
            self.on.train(mode)
            return self

    model = Half()
    assert not checks.check_modes_not_switched(model).trouble
    assert (False, True) == (model.off.training, model.on.training)
