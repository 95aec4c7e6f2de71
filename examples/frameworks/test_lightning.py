"""A Lightning Trainer under a golden, watched, and held to its own large batch."""

import logging

import lightning.pytorch
import pytest
import torch
from torch import nn

import goldmark
from goldmark import Metric, experiment

logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
SILENT = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False, "enable_model_summary": False}
QUIET = {"num_sanity_val_steps": 0, **SILENT}


class Classifier(lightning.pytorch.LightningModule):
    """An encoder and a head; `owned` says which of them the optimizer is given."""

    def __init__(self, owned="all"):
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(4, 16), nn.Tanh())
        self.head = nn.Linear(16, 2)
        self.owned = owned

    def forward(self, inputs):
        """Return logits (B, 2)."""
        return self.head(self.encoder(inputs))

    def training_step(self, batch, _):
        """Return the loss of a batch; batch and output are kept for the watch."""
        inputs, labels = batch
        self.batch, self.output = batch, self(inputs)
        return nn.functional.cross_entropy(self.output, labels)

    def validation_step(self, batch, _):
        """Keep the share of right answers."""
        inputs, labels = batch
        self.log("accuracy", (self(inputs).argmax(1) == labels).float().mean())

    def configure_optimizers(self):
        """Step all parameters, or forget the encoder."""
        owned = self if self.owned == "all" else self.head
        return torch.optim.SGD(owned.parameters(), lr=0.3)


def loaders(seed, batch_size=16):
    """Points within and without a circle, 256 to train on and 256 to validate."""
    draws = torch.Generator().manual_seed(seed)
    points = torch.randn(512, 4, generator=draws)
    labels = (points[:, :2].square().sum(1) > 1.4).long()
    data = torch.utils.data.TensorDataset(points, labels)
    train, val = (torch.utils.data.Subset(data, range(*half)) for half in ((256,), (256, 512)))
    yield torch.utils.data.DataLoader(train, batch_size, shuffle=True, generator=draws)
    yield torch.utils.data.DataLoader(val, 256)


@experiment(seeds=10, metrics=[Metric("accuracy", margin=0.05, better="higher", guard="head_only")])
def circle(seed, *, owned="all", epochs=20):
    """Points in a circle, told from those around it."""
    torch.manual_seed(seed)
    trainer = lightning.pytorch.Trainer(max_epochs=epochs, accelerator="cpu", **QUIET)
    trainer.fit(Classifier(owned), *loaders(seed))
    return {"accuracy": trainer.callback_metrics["accuracy"].item()}


head_only = circle.variant("head_only", owned="head")


def test_circle(golden):
    """The accuracy of every seed is that of the golden, within .05 in the mean."""
    golden.runs(circle)


def test_the_encoder_must_train():
    """Ordinary tests read the same runs."""
    assert circle.mean("accuracy") > head_only.mean("accuracy") + 0.05


class Watch(lightning.pytorch.Callback):
    def on_fit_start(self, trainer, module):
        self.watch = goldmark.watch(module, trainer.optimizers, accumulate=trainer.accumulate_grad_batches)
        self.watch.__enter__()

    def on_before_backward(self, trainer, module, loss):
        self.loss = loss

    def on_after_backward(self, trainer, module):
        self.watch.after_backward(batch=module.batch, output=module.output, loss=self.loss)  # see training_step

    def on_train_epoch_end(self, trainer, module):
        self.watch.end_epoch()

    def on_fit_end(self, trainer, module):
        self.watch.__exit__(None, None, None)
        print(self.watch.findings)


def watched(owned, **parts):
    """Return the findings of a short training."""
    torch.manual_seed(0)
    watch = Watch()
    trainer = lightning.pytorch.Trainer(max_epochs=2, accelerator="cpu", callbacks=[watch], **QUIET, **parts)
    trainer.fit(Classifier(owned), *loaders(0))
    return watch.watch.findings


@pytest.mark.parametrize("accumulate", [1, 2])
def test_nothing_is_wrong_as_it_runs(accumulate):
    """No finding, and nothing that could not be judged."""
    findings = watched("all", accumulate_grad_batches=accumulate)
    assert findings == ()
    assert not findings.notes


def test_the_forgotten_encoder_is_seen_as_it_runs():
    """Without a past to compare with."""
    assert "unowned_parameters" in str(watched("head"))


class Rows(lightning.pytorch.Callback):
    """Keep gradients and weights before every step."""

    def __init__(self):
        self.rows = []

    def on_before_optimizer_step(self, trainer, module, optimizer):
        """Copy them: the next step changes them in place."""
        weights = {name: parameter.detach().clone() for name, parameter in module.named_parameters()}
        self.rows.append({f"{name}.grad": one.grad.clone() for name, one in module.named_parameters()} | weights)


def fit(nudge, *, batch_size, **parts):
    """Train for two epochs, and return what each step saw."""
    torch.manual_seed(0)
    model, rows = Classifier(), Rows()
    nudge(model)
    parts = {"max_epochs": 2, "accelerator": "cpu", "limit_val_batches": 0, **QUIET, **parts}
    trainer = lightning.pytorch.Trainer(callbacks=[rows], **parts)
    trainer.fit(model, *loaders(0, batch_size))
    return rows.rows


def whole(nudge):
    """Train with batches of 64."""
    return fit(nudge, batch_size=64)


def in_parts(nudge):
    """Train with four batches of 16 a step."""
    return fit(nudge, batch_size=16, accumulate_grad_batches=4)


def test_accumulated_batches_equal_a_large_one():
    """But for rounding, in every gradient and weight of every step."""
    assert goldmark.same_trajectory(whole, in_parts)
