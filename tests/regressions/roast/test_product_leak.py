"""RoastFormer split profiles at random: 18 of the 21 products that it validated on were trained on too."""

from __future__ import annotations

import pytest
import torch

from goldmark.cases.roast import CASE
from goldmark.cases.roast.data import Profile, split_profiles
from goldmark.checks import check_shared_groups

N_PRODUCTS, N_EACH = 12, 5


def roasts():
    """Measured profiles of twelve products, each roasted five times, no two curves equal."""
    return tuple(
        Profile(
            product=f"bean {i // N_EACH}",
            categories=("a", "b", "c", "d"),
            finish_f=400.0,
            temp_f=tuple(150.0 + i + second / 4 for second in range(60)),
        )
        for i in range(N_PRODUCTS * N_EACH)
    )


def goldmark_split(seed):
    """The products of the training and of the validation curves that goldmark makes of a user's file."""
    data = split_profiles(roasts(), CASE.settings, seed)
    product = {profile.temp_f[0]: profile.product for profile in roasts()}  # curves start where no other does
    return [[product[start] for start in data[f"{half}_temp_f"][:, 0].tolist()] for half in ("train", "val")]


def random_split(seed):
    """The record's: a fifth of the profiles, whatever their product."""
    order = torch.randperm(N_PRODUCTS * N_EACH, generator=torch.Generator().manual_seed(seed)).tolist()
    products = [roasts()[i].product for i in order]
    return products[N_PRODUCTS:], products[:N_PRODUCTS]


@pytest.mark.parametrize("seed", range(4))
def test_no_product_is_in_both_halves(seed):
    """Whole products are held out, and every profile is in one half."""
    train, val = goldmark_split(seed)
    finding = check_shared_groups(train, val)
    assert not finding.trouble, f"products leak across the split: {finding}"
    assert N_PRODUCTS * N_EACH == len(train) + len(val)


@pytest.mark.parametrize("seed", range(4))
def test_random_profiles_share_their_products(seed):
    """Most validation profiles have siblings in training, as in the record."""
    finding = check_shared_groups(*random_split(seed))
    assert finding.trouble
    assert finding.numbers["share"] > 0.8
