"""A Hugging Face Trainer under a golden, and watched: a tiny BERT made of a configuration, with nothing to download."""

import tempfile

import pytest
import torch
import transformers

import goldmark
from goldmark import Metric, experiment

transformers.logging.set_verbosity_error()
CLS, PAD, WORD = 1, 0, 5  # the word whose presence is the label


def tiny():
    """One layer of 32 dimensions, 20 words."""
    shape = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 64}
    config = transformers.BertConfig(vocab_size=20, max_position_embeddings=16, num_labels=2, **shape)
    return transformers.BertForSequenceClassification(config)


def sentences(seed, n=256):
    """Yield sentences of 3 to 12 words, padded to 13: half hold the word, and a tenth of the labels is wrong."""
    draws = torch.Generator().manual_seed(seed)
    for number in range(n):
        length = 3 + int(torch.randint(10, (), generator=draws))
        words = torch.randint(6, 20, (length,), generator=draws)
        if number % 2:
            words[torch.randint(length, (), generator=draws)] = WORD
        ids = torch.full((13,), PAD)
        ids[0], ids[1 : length + 1] = CLS, words
        label = (number + int(torch.rand((), generator=draws) < 0.1)) % 2
        yield {"input_ids": ids, "attention_mask": (ids != PAD).long(), "labels": torch.tensor(label)}


def accuracy(evaluated):
    """Return the share of right answers, as the trainer asks for it."""
    return {"accuracy": float((evaluated.predictions.argmax(1) == evaluated.label_ids).mean())}


def trainer_of(folder, seed, kind=transformers.Trainer, **changed):
    """Return a trainer that logs, saves and downloads nothing: 192 sentences to train on, 64 to evaluate."""
    torch.manual_seed(seed)
    rows = list(sentences(seed))
    quiet = {"report_to": [], "save_strategy": "no", "logging_strategy": "no", "disable_tqdm": True, "use_cpu": True}
    recipe = {"per_device_train_batch_size": 16, "learning_rate": 3e-3, "seed": seed, **quiet, **changed}
    arguments = transformers.TrainingArguments(folder, **recipe)
    return kind(tiny(), arguments, train_dataset=rows[:192], eval_dataset=rows[192:], compute_metrics=accuracy)


@experiment(seeds=8, metrics=[Metric("accuracy", margin=0.05, better="higher", guard="endless_warmup")])
def presence(seed, *, warmup_steps=4, epochs=6):
    """Whether a word is in a sentence, after 72 steps."""
    with tempfile.TemporaryDirectory() as folder:
        trainer = trainer_of(folder, seed, warmup_steps=warmup_steps, num_train_epochs=epochs)
        trainer.train()
        return {"accuracy": trainer.evaluate()["eval_accuracy"]}


endless = presence.variant("endless_warmup", warmup_steps=1000)  # copied from a longer training


def test_presence(golden):
    """The accuracy of every seed is that of the golden, within .05 in the mean."""
    golden.runs(presence)


def test_warmup_must_end():
    """Ordinary tests read the same runs."""
    assert presence.mean("accuracy") > endless.mean("accuracy") + 0.2


class Watched(transformers.Trainer):
    def train(self, *args, **keywords):
        self.create_optimizer()
        with goldmark.watch(self.model, self.optimizer, accumulate=self.args.gradient_accumulation_steps) as self.watch:
            result = super().train(*args, **keywords)
        print(self.watch.findings)
        return result

    def training_step(self, model, inputs, *args, **keywords):
        loss = super().training_step(model, inputs, *args, **keywords)  # after its backward pass
        self.watch.after_backward(batch=(inputs["input_ids"], inputs["labels"]))
        return loss


class HeadOnly(Watched):
    """An optimizer that was not given the encoder."""

    def create_optimizer(self, *args, **keywords):
        """Make it where there is none."""
        self.optimizer = self.optimizer or torch.optim.AdamW(self.model.classifier.parameters(), lr=3e-3)
        return self.optimizer


def watched(kind, **changed):
    """Return the findings of a short training."""
    with tempfile.TemporaryDirectory() as folder:
        trainer = trainer_of(folder, 0, kind, num_train_epochs=2, **changed)
        trainer.train()
    return trainer.watch.findings


@pytest.mark.parametrize("accumulate", [1, 2])
def test_nothing_is_wrong_as_it_runs(accumulate):
    """No finding, and nothing that could not be judged."""
    findings = watched(Watched, gradient_accumulation_steps=accumulate)
    assert findings == ()
    assert not findings.notes


def test_the_forgotten_encoder_is_seen_as_it_runs():
    """Without a past to compare with."""
    assert "unowned_parameters" in str(watched(HeadOnly))
