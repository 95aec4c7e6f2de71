"""Pairs whose targets teach outputs of another place: shifted, behind the end, across a diagonal, or elsewhere."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional
from torch.utils.data import DataLoader, Dataset
from zoo.loops import batched, look, mlp, pair, regressor, tokens
from zoo.pairs_model import Transformer, sequence_loss
from zoo.pairs_sequences import captions, trained


class Captioner(nn.Module):
    """Logits of patches (B, 4, 6) and of the tokens (B, T) behind them, each of which sees those before it."""

    def __init__(self):
        super().__init__()
        self.patches, self.words, self.head = nn.Linear(6, 16), nn.Embedding(12, 16), nn.Linear(16, 12)
        self.layer = nn.GRU(16, 16, batch_first=True)

    def forward(self, patches, words):
        """Logits (B, 4 + T, 12)."""
        return self.head(self.layer(torch.cat([self.patches(patches), self.words(words)], dim=1))[0])


def captioned(n, seed):
    """Batches of ((patches (B, 4, 6), tokens (B, 8)), the same tokens); the first token is among the patches."""
    text = tokens(n, length=7, seed=seed)
    patches = torch.randn(n, 4, 6, generator=torch.Generator().manual_seed(seed))
    patches[:, 0, 0] = text[:, 0] / 3
    parts = zip(patches.split(32), text.split(32), strict=True)
    return [((part, words), words) for part, words in parts]


@pair("shifted_twice")
def labels_shifted_before_a_loss_that_shifts_them(bug):
    def next_token_loss(logits, labels):
        return sequence_loss(logits[:, :-1], labels[:, 1:])

    def loss_fn(output, labels):
        words = output[:, 4:]
        return next_token_loss(words[:, :-1], labels[:, 1:]) if bug else next_token_loss(words, labels)

    model = Captioner()
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    return look(model, optimizer, captioned(128, 0), captioned(64, 1), loss_fn, spread=True, epochs=2)


@pair("shifted_twice")
def shifted_in_the_data_and_in_the_loss_of_an_undeclared_model(bug):
    def loss_fn(output, targets):
        return sequence_loss(output[:, :-1], targets[:, 1:]) if bug else sequence_loss(output, targets)

    halves = [batched(text[:, :10], text[:, 1:11]) for text in (tokens(128), tokens(64, seed=1))]
    return trained(Transformer(), *halves, loss_fn, intent={"tied": [("embedding.weight", "head.weight")]})


def spelled(n, seed):
    """Batches of (features (B, 8), (words (B, 6), their lengths (B,))), filled up with 0."""
    x, words = captions(n, seed)
    parts = zip(x.split(32), words.split(32), (words != 0).sum(1).split(32), strict=True)
    return [(part, (text, lengths)) for part, text, lengths in parts]


@pair("padding_changes_loss")
def words_and_lengths_whose_padding_is_declared_and_counts(bug):
    def loss_fn(output, targets):
        words, lengths = targets
        losses = functional.cross_entropy(output.transpose(1, 2), words, reduction="none")
        counted = torch.arange(6) < (6 if bug else lengths[:, None])
        return ((losses * counted).sum(1) / lengths).mean()

    model = nn.Sequential(mlp(8, 32, 30), nn.Unflatten(1, (6, 5)))
    return trained(model, spelled(128, 0), spelled(64, 1), loss_fn, intent={"pad_id": 0})


@pair("padding_changes_loss")
def a_mask_of_lengths_that_is_turned_around(bug):
    def batches(n, seed):
        generator = torch.Generator().manual_seed(seed)
        x, lengths = torch.randn(n, 8, 4, generator=generator), torch.randint(3, 8, (n,), generator=generator)
        x = x * (torch.arange(8) < lengths[:, None])[..., None]
        parts = zip(x.split(32), lengths.split(32), strict=True)
        return [(part, {"frames": part.cumsum(1)[..., :2] * (part[..., :2] != 0), "n": real}) for part, real in parts]

    class Frames(nn.Module):
        """Two numbers for each frame (B, 8, 4)."""

        def __init__(self):
            super().__init__()
            self.layer, self.head = nn.GRU(4, 16, batch_first=True), nn.Linear(16, 2)

        def forward(self, x):
            """Outputs (B, 8, 2)."""
            return self.head(self.layer(x)[0])

    def loss_fn(output, targets):
        real = torch.arange(8) < targets["n"][:, None]
        errors = (output - targets["frames"]).square().masked_fill((real if bug else ~real)[..., None], 0)
        return errors.sum() / (2 * targets["n"].sum())

    return trained(Frames(), batches(128, 0), batches(64, 1), loss_fn)


def bars(n, seed):
    """Images (N, 3, 8, 8) with a lying bar of either of two colours, and whose pixel each is (N, 8, 8)."""
    generator = torch.Generator().manual_seed(seed)
    owners = torch.zeros(n, 8, 8, dtype=torch.long)
    for owner, row in zip(owners, torch.randint(0, 7, (n,), generator=generator).tolist(), strict=True):
        owner[row : row + 2, row // 2 : row // 2 + 5] = 1 + row % 2
    return functional.one_hot(owners, 3).movedim(3, 1) + 0.2 * torch.randn(n, 3, 8, 8, generator=generator), owners


class Segmenter(nn.Module):
    """Logits of pixels (B, 8, 8, 3)."""

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 3, 3, padding=1))

    def forward(self, x):
        """Rows before columns."""
        return self.layers(x).movedim(1, 3)


class Parts(Segmenter):
    """Logits of pixels (B, 3, 8, 8) and the image, by name."""

    def __init__(self):
        super().__init__()
        self.decoder = nn.Conv2d(3, 3, 3, padding=1)

    def forward(self, x):
        """Both."""
        logits = self.layers(x)
        return {"restored": self.decoder(logits), "logits": logits}


@pair("transposed_targets")
def masks_permuted_to_columns_before_rows(bug):
    def batches(n, seed):
        x, owners = bars(n, seed)
        masks = functional.one_hot(owners, 3).movedim(3, 1).float()
        parts = zip(x.split(32), masks.split(32), strict=True)
        return [(part, {"image": part, "masks": mask}) for part, mask in parts]

    def loss_fn(output, targets):
        wanted = targets["masks"].permute((0, 3, 2, 1) if bug else (0, 2, 3, 1))
        logs = output["logits"].permute(0, 2, 3, 1).log_softmax(3)
        return functional.mse_loss(output["restored"], targets["image"]) - (wanted * logs).sum(3).mean()

    return trained(Parts(), batches(96, 0), batches(64, 1), loss_fn)


@pair("transposed_targets")
def logits_whose_channels_come_first_in_the_wrong_order(bug):
    def loss_fn(output, targets):
        return functional.cross_entropy(output.transpose(1, 3) if bug else output.movedim(3, 1), targets)

    return trained(Segmenter(), batched(*bars(96, 0)), batched(*bars(64, 1)), loss_fn)


class Squares(Dataset):
    """Pictures (1, 24, 24) of a bright square about the middle, and its mask; `augment` may crop them."""

    def __init__(self, n, seed, augment, *, level=1.5, noise=0.4):
        generator = torch.Generator().manual_seed(seed)
        rows, columns = torch.randint(5, 12, (2, n), generator=generator).tolist()
        self.masks, self.augment = torch.zeros(n, 1, 24, 24), augment
        for mask, row, column in zip(self.masks, rows, columns, strict=True):
            mask[0, row : row + 6, column : column + 8] = 1
        self.pictures = level * (self.masks - 0.2) + noise * torch.randn(n, 1, 24, 24, generator=generator)

    def __len__(self):
        """All pictures."""
        return len(self.masks)

    def __getitem__(self, index):
        """A picture and its mask, after the augmentation."""
        return self.augment(self.pictures[index], self.masks[index])


def cropped(image, place=(4, 4), flips=()):
    """Cut 16 by 16 pixels out of an image (1, 24, 24), from the middle by default."""
    row, column = place
    return image[:, row : row + 16, column : column + 16].flip(flips)


def plainly(picture, mask):
    """The middle of both, as in validation."""
    return cropped(picture), cropped(mask)


def segmented(train, *, val=None, **how):
    """Look at a segmentation of squares."""
    loader = DataLoader(train, batch_size=16, shuffle=True)
    model = nn.Sequential(nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 1, 3, padding=1))
    val = DataLoader(Squares(32, 1, plainly) if val is None else val, batch_size=16)
    return regressor(model, train=loader, val=val, loss_fn=functional.binary_cross_entropy_with_logits, **how)


def drawn():
    """A place of a crop, and the sides that are mirrored."""
    return torch.randint(0, 9, (2,)).tolist(), [side for side in (-2, -1) if torch.rand(()) < 0.5]


@pair("masks_elsewhere")
def pictures_and_masks_that_draw_their_own_crops(bug):
    def crop(picture, mask):
        how = drawn()
        return cropped(picture, *how), cropped(mask, *(drawn() if bug else how))

    return segmented(Squares(64, 0, crop))


@pair("masks_elsewhere")
def masks_in_another_order_than_their_pictures(bug):
    def noisy(picture, mask):
        return cropped(picture + 0.1 * torch.randn_like(picture)), cropped(mask)

    train = Squares(64, 0, noisy)
    if bug:
        train.masks = train.masks[torch.randperm(64, generator=torch.Generator().manual_seed(0))]
    return segmented(train)
