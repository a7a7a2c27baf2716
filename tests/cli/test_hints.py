"""What is said of a command line with a typing error."""

import pytest

from mindclf.cli.parser import Recipe, make_parser, parse


@pytest.mark.parametrize(("words", "said"), [
    (["trian", "my_photos"], "unknown command 'trian'; did you mean 'train'?"),
    (["qqqq"], "unknown command 'qqqq'; the commands are: train, show, "),
    (["train", "--epochs", "3"], "unrecognized arguments: --epochs; a field is set without dashes: write epochs=3"),
    (["train", "my_photos", "--epochs=3"], "a field is set without dashes: write epochs=3"),
    (["train", "my_photos", "--batch-size", "8", "epochs=3"], "a field is set without dashes: write batch_size=8"),
    (["train", "my_photos", "--lr", "0.1"], "a field is set without dashes: write lr_max=0.1"),
    (["train", "my_photos", "--epoch", "3"], "a field is set without dashes: write epochs=3"),
    (["train", "my_photos", "--resume"], "a field is set without dashes: write resume=VALUE"),
    (["eval", "--dataset", "cifar10"], "a field is set without dashes: write dataset=cifar10"),
    (["train", "my_photos", "--devise", "CPU"], "unrecognized arguments: --devise CPU; did you mean --device?"),
    (["predict", "--chekpoint", "a.ckpt", "b.jpg"], "unrecognized arguments: --chekpoint; did you mean --checkpoint?"),
    (["predict", "--epochs", "3", "b.jpg"], "unrecognized arguments: --epochs"),  # predict takes no such fields
])
def test_a_typing_error_gets_a_hint(words, said, capsys):
    with pytest.raises(SystemExit) as stopped:
        parse(make_parser(None), words, False)
    printed = capsys.readouterr().err.splitlines()[-1].partition("error: ")[2]
    assert stopped.value.code == 2
    assert printed.endswith(said) or (said.endswith(", ") and printed.startswith(said))


def test_a_recipe_knows_its_own_commands_alone(capsys):
    with pytest.raises(SystemExit):
        parse(make_parser(Recipe({}, {})), ["doctor"], True)
    assert "unknown command 'doctor'; the commands are: train, show, find-lr, eval, " in capsys.readouterr().err
