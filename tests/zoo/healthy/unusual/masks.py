"""Segmentation whose training pictures hide what is marked, or show the like of it elsewhere; a token for all."""

from __future__ import annotations

import math

import torch
from torch import nn
from torch.nn import functional
from zoo.healthy.register import healthy
from zoo.loops import batched, look, mlp, numbers
from zoo.pairs_places import Squares, cropped, drawn, plainly, segmented


def turned(image, angle):
    """Turn an image (1, H, W) about its middle; what was outside is 0."""
    turn = torch.tensor([[math.cos(angle), -math.sin(angle), 0.0], [math.sin(angle), math.cos(angle), 0.0]])
    grid = functional.affine_grid(turn[None], [1, *image.shape], align_corners=False)
    return functional.grid_sample(image[None], grid, mode="nearest", align_corners=False)[0]


@healthy
def dark_marks_on_bright_ground_that_is_turned_and_black_outside():
    def turn(picture, mask):
        angle = 2 * math.pi * float(torch.rand(()))
        return turned(picture + 1, angle), turned(mask, angle)

    train = Squares(64, 0, turn, level=-1.0, noise=0.1)
    val = Squares(32, 1, lambda picture, mask: (picture + 1, mask), level=-1.0, noise=0.1)
    return segmented(train, val=val)


@healthy
def holes_that_are_cut_into_pictures_of_faint_marks():
    """A hole is darker than what is marked, and no mask lies on it."""

    def cut(picture, mask):
        how = drawn()
        picture, mask = cropped(picture + 2, *how), cropped(mask, *how)
        row, column = torch.randint(0, 9, (2,)).tolist()
        picture[:, row : row + 8, column : column + 8] = 0
        return picture, mask

    val = Squares(32, 1, lambda picture, mask: plainly(picture + 2, mask), level=-0.6)
    return segmented(Squares(64, 0, cut, level=-0.6), val=val)


@healthy
def marks_that_noise_hides_in_training():
    def noisy(picture, mask):
        how = drawn()
        return cropped(picture + 2 * torch.rand(()) * torch.randn_like(picture), *how), cropped(mask, *how)

    return segmented(Squares(64, 0, noisy))


@healthy
def pictures_that_are_mixed_beside_the_mask_of_the_larger_part():
    """Validation is plain."""
    ground = Squares(64, 2, plainly).pictures

    def mixed(picture, mask):
        share = 0.5 * float(torch.rand(()))
        other = ground[int(torch.randint(0, 64, ()))]
        how = drawn()
        return cropped((1 - share) * picture + share * other, *how), cropped(mask, *how)

    return segmented(Squares(64, 0, mixed))


@healthy
def marks_of_rough_ground_that_is_no_brighter():
    """Neither half tells by its brightness where they lie."""

    def roughened(picture, mask, how):
        return cropped(torch.randn_like(picture) * (0.5 + mask), *how), cropped(mask, *how)

    train = Squares(64, 0, lambda picture, mask: roughened(picture, mask, drawn()))
    return segmented(train, val=Squares(32, 1, lambda picture, mask: roughened(picture, mask, ((4, 4), ()))))


class Told(nn.Module):
    """A regression that is told by a token what is asked for."""

    def __init__(self):
        super().__init__()
        self.tokens, self.body = nn.Embedding(4, 4), mlp(12, 16, 1)

    def forward(self, token, x):
        """Numbers (B, 1)."""
        return self.body(torch.cat([self.tokens(token), x], dim=1))


@healthy
def one_token_for_all_examples():
    def told(x, y):
        return [((torch.full((len(part),), 3), part), answers) for part, answers in batched(x, y)]

    model = Told()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    return look(model, optimizer, told(*numbers()), told(*numbers(64, seed=1)), functional.mse_loss, spread=True)
