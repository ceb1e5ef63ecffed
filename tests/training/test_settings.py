import pytest

from cutmix.errors import UsageError
from cutmix.training.settings import Settings


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("epochs", 0, "epochs must be at least 1, got 0"),
        ("batch_size", -3, "batch_size must be at least 1"),
        ("lr", 0.0, "lr must be positive"),
        ("lr", float("inf"), "lr must be positive and finite"),
        ("lr", float("nan"), "lr must be positive"),
        ("momentum", -0.1, "momentum must not be negative"),
        ("momentum", 0.0, "Nesterov"),
        ("ema", 1.0, r"ema must lie in \[0, 1\)"),
        ("label_smoothing", 1.5, "label_smoothing"),
        ("amp", "fp8", "no, fp16, bf16"),
        ("weight_decay", float("nan"), "weight_decay"),
    ],
)
def test_impossible_values_are_refused_by_name(name, value, said):
    with pytest.raises(UsageError, match=said):
        Settings(**{name: value})


def test_as_dict_holds_every_setting():
    settings = Settings(epochs=3, lr=0.25)
    assert Settings(**settings.as_dict()) == settings
    assert settings.as_dict()["lr"] == 0.25
