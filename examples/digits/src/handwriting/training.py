"""Train a small network to read handwritten digits, and declare the training as an experiment."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from goldmark import Metric, area_under, claims, experiment, steps_to
from goldmark.case import Claim
from sklearn.datasets import load_digits
from sklearn.metrics import log_loss
from sklearn.neural_network import MLPClassifier

N_TRAIN = 1000  # of 1797 rows; the others validate
N_EPOCHS = 8


def rows(seed: int, *, held_out: bool = True) -> tuple[np.ndarray, np.ndarray]:
    """Return the indices of the rows that train, and of those that validate."""
    order = np.random.default_rng(seed).permutation(len(load_digits().target))
    train = order[:N_TRAIN]
    return train, order[N_TRAIN:] if held_out else train


# The limits were chosen on seeds 0 to 11 and confirmed on seeds 1000 to 1011: 0.936 is the worst accuracy there, raw
# pixels have 0.089 in the mean, division by 255 costs 0.32, and seen rows flatter by 0.030.
CLAIMS = (
    Claim(
        name="scaling_is_the_fix",
        says="Divided by 16, the pixels' largest value, nine digits of ten are read; raw, no more than by guessing.",
        source="project",
        check=claims.all_of(
            claims.every_seed("default", "accuracy", ">=", 0.9),
            claims.mean("raw_pixels", "accuracy", "<=", 0.2),
        ),
    ),
    Claim(
        name="better_than_the_commonest_digit",
        says="Every seed reads far more digits than a predictor that always says the commonest one.",
        source="project",
        check=claims.within("default", "accuracy", ">=", "majority", slack=0.7),
    ),
    Claim(
        name="255_is_no_fix",
        says="Divided by 255, as photographs are, the network learns, and is far behind where it should be.",
        source="project",
        check=claims.mean_difference("default", "divided_by_255", "accuracy", ">=", 0.15),
    ),
    Claim(
        name="seen_rows_look_better",
        says="Validated on rows that it was trained on, the network looks better than it is.",
        source="project",
        check=claims.mean_difference("seen_rows", "default", "accuracy", ">=", 0.015),
    ),
)


@experiment(
    seeds=12,
    metrics=[
        Metric("accuracy", margin=0.01, better="higher", guard="raw_pixels"),
        Metric("log_loss", margin="10%", better="lower", guard="raw_pixels"),
        steps_to("log_loss", below=0.25, margin=1, guard="divided_by_255"),
        area_under("log_loss", margin="5%", better="lower", guard="divided_by_255"),
        Metric("majority", margin=None),
    ],
    claims=CLAIMS,
)
def digits(seed: int, *, largest: float = 16.0, rate: float = 0.1, held_out: bool = True) -> Iterator[dict[str, float]]:
    """Train a network of 32 hidden units on pixels divided by `largest`; yield its validation scores every epoch."""
    images, labels = load_digits(return_X_y=True)
    train, val = rows(seed, held_out=held_out)
    inputs = images / largest
    model = MLPClassifier((32,), solver="sgd", learning_rate_init=rate, batch_size=32, random_state=seed)
    majority = float(np.mean(labels[val] == np.bincount(labels[train]).argmax()))
    for _ in range(N_EPOCHS):
        model.partial_fit(inputs[train], labels[train], classes=np.arange(10))
        probabilities = model.predict_proba(inputs[val])
        yield {
            "accuracy": float(np.mean(probabilities.argmax(axis=1) == labels[val])),
            "log_loss": float(log_loss(labels[val], probabilities)),
            "majority": majority,
        }


raw_pixels = digits.variant("raw_pixels", "The bug: pixels go in as they are, 0 to 16.", largest=1.0)
divided_by_255 = digits.variant("divided_by_255", "No fix: the scale of another data set.", largest=255.0)
seen_rows = digits.variant("seen_rows", "A leak: the rows that validate are those that train.", held_out=False)
