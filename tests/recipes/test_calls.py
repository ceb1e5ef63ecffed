import pytest

from cutmix.errors import UsageError
from cutmix.mixing import Compose, Cutout, ManifoldMixup, MixUp, RandomChoice
from cutmix.recipes import names
from cutmix.recipes.build import make_mixing
from cutmix.recipes.calls import Call, construct, find, parse_call


@pytest.mark.parametrize(
    ("text", "call"),
    [
        ("CutMix", Call("CutMix")),
        (" CutMix() ", Call("CutMix")),
        ("CutMix(alpha=0.3, scope='per_sample')", Call("CutMix", (), {"alpha": 0.3, "scope": "per_sample"})),
        ("PyramidNet(200, alpha=240)", Call("PyramidNet", (200,), {"alpha": 240})),
        ("timm.resnet50(pretrained=True)", Call("timm.resnet50", (), {"pretrained": True})),
        ("Steps(at=(0.5, 0.75), by=-1)", Call("Steps", (), {"at": (0.5, 0.75), "by": -1})),
        ("Choice(weights=(1,), of=(CutMix(), 2))", Call("Choice", (), {"weights": (1,), "of": (Call("CutMix"), 2)})),
        ("Hidden(layers=['layer1', 0])", Call("Hidden", (), {"layers": ("layer1", 0)})),
        ("Choice(CutMix(alpha=0.3), MixUp())", Call("Choice", (Call("CutMix", (), {"alpha": 0.3}), Call("MixUp")))),
    ],
)
def test_calls_are_read_and_written_back(text, call):
    assert parse_call(text) == call
    assert parse_call(str(call)) == call


@pytest.mark.parametrize("name", names.mixings())
def test_every_method_is_made_again_from_what_it_prints(name):
    made = make_mixing(name)
    assert make_mixing(repr(made)) == made
    assert make_mixing(str(parse_call(repr(made)))) == made


def test_methods_within_methods_are_made():
    choice = "RandomChoice(mixings=(MixUp(alpha=0.3), ManifoldMixup(layers=('a.1', 2))))"
    text = f"Compose(mixings=(Cutout(size=16), {choice}))"
    inner = RandomChoice((MixUp(0.3), ManifoldMixup(layers=("a.1", 2))))
    assert make_mixing(text) == Compose((Cutout(16), inner))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "CutMix(",
        "1 + 1",
        "CutMix(alpha=__import__('os').getcwd())",
        "CutMix(alpha=open)",
        "CutMix(**{'alpha': 1})",
        "(lambda: 0)()",
        "[CutMix()]",
        "CutMix(); print(1)",
        "f(x)(y)",
    ],
)
def test_anything_else_is_refused_and_not_run(text):
    with pytest.raises(UsageError, match="cannot read"):
        parse_call(text)


class Paste:
    def __init__(self, alpha: float = 1.0, inner: object = None) -> None:
        if alpha <= 0:
            raise ValueError(f"alpha must be positive, got {alpha}")
        self.alpha, self.inner = alpha, inner


KNOWN = {"Paste": Paste, "Blend": dict}


def test_objects_are_made_also_within_objects():
    made = construct(parse_call("Paste(0.3, inner=paste(alpha=2))"), KNOWN, "mixing")
    assert (made.alpha, made.inner.alpha) == (0.3, 2)


def test_an_unknown_name_gets_the_nearest_one():
    with pytest.raises(UsageError, match=r"unknown mixing 'Pasta'\. Did you mean 'Paste'\? Known: Paste, Blend\."):
        find("Pasta", KNOWN, "mixing")


def test_an_unknown_argument_gets_the_nearest_one_and_all():
    with pytest.raises(UsageError, match=r"'alpa'\. Did you mean 'alpha'\? It takes \(alpha=1\.0, inner=None\)"):
        construct(parse_call("Paste(alpa=2)"), KNOWN, "mixing")


def test_a_refused_value_says_which_call():
    with pytest.raises(UsageError, match=r"Paste\(alpha=-1\): alpha must be positive, got -1"):
        construct(parse_call("Paste(alpha=-1)"), KNOWN, "mixing")


def test_defaults_are_filled_in_where_the_call_is_silent():
    filled = parse_call("Net(depth=20)").with_defaults(depth=8, num_classes=3)
    assert filled.kwargs == {"depth": 20, "num_classes": 3}
