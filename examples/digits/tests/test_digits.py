"""The training of the digit reader against its golden, its claims, and what its variants are there to show."""

from handwriting.training import digits, divided_by_255, raw_pixels, rows, seen_rows


def test_training_holds_to_its_golden(golden):
    """Accuracy, loss and speed of convergence are those that were approved."""
    golden.runs(digits)


def test_every_claim_holds():
    """The statements that this project makes of its training are true of all variants."""
    runs = {variant.name: digits.variant(variant.name).runs() for variant in digits.variants}
    for _, verdict in digits.judge(runs):
        assert verdict


def test_scaling_is_what_makes_it_learn():
    """The bug scores what guessing does, and the scale of another data set lies between bug and fix."""
    assert raw_pixels.mean("accuracy") < 1.5 * raw_pixels.mean("majority")
    assert raw_pixels.mean("accuracy") < divided_by_255.mean("accuracy") < digits.mean("accuracy") - 0.15


def test_leak_flatters():
    """Rows that were trained on are read better than others: such a score is no news."""
    assert seen_rows.mean("log_loss") < 0.7 * digits.mean("log_loss")


def test_no_row_trains_and_validates(golden):
    """The contract behind the leak, and the exact rows of seed 0."""
    train, val = rows(0)
    assert not set(train) & set(val)
    golden.exact({"train": train, "val": val})
