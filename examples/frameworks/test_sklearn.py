"""A scikit-learn pipeline under a golden: its score must not get better either, which a leak would make it."""

import numpy as np
from sklearn.feature_selection import SelectKBest
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from goldmark import Metric, experiment


def genes(seed, n=80, n_features=500):
    """Two groups that differ in 5 of 500 features."""
    draws = np.random.default_rng(seed)
    labels = np.arange(n) % 2
    inputs = draws.normal(size=(n, n_features))
    inputs[:, :5] += 0.8 * labels[:, None]
    return inputs, labels


@experiment(seeds=16, metrics=[Metric("accuracy", margin=0.05, guard="selected_before_the_split")])
def groups(seed, *, selects="within each fold"):
    """Accuracy in cross-validation of ten features and a logistic regression."""
    inputs, labels = genes(seed)
    steps = [StandardScaler(), LogisticRegression()]
    if selects == "within each fold":
        steps.insert(1, SelectKBest(k=10))
    else:  # the features have seen the labels of every fold
        inputs = SelectKBest(k=10).fit_transform(inputs, labels)
    folds = StratifiedKFold(5, shuffle=True, random_state=seed)
    return {"accuracy": cross_val_score(make_pipeline(*steps), inputs, labels, cv=folds).mean()}


leaked = groups.variant("selected_before_the_split", selects="before the split")


def test_groups(golden):
    """The accuracy of every seed is that of the golden, within .05 in the mean, in both directions."""
    golden.runs(groups)


def test_the_leak_would_look_like_progress():
    """Ordinary tests read the same runs."""
    assert leaked.mean("accuracy") > groups.mean("accuracy") + 0.05
