"""docs/text.md: its code runs, from top to bottom, and does what the page says."""

import re
from pathlib import Path

import gpunn

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "text.md").read_text(encoding="utf-8")


def test_the_code_runs(tmp_path, monkeypatch, capsys):
    for name, words in {"bad": "dull slow cold", "good": "warm fun lovely"}.items():
        (tmp_path / "reviews" / name).mkdir(parents=True)
        for i in range(24):
            text = f"a {words.split()[i % 3]} film"
            (tmp_path / "reviews" / name / f"{i}.txt").write_text(text, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    gpunn.utils.set_random_seed(2)
    names: dict = {}
    for code in re.findall(r"```python\n(.*?)```", PAGE, re.S):
        exec(code, names)
    assert names["x"].shape == (8, 6) and names["following"].shape == (1, 5)
    assert names["history"].history["accuracy"][-1] == 1.0
    last = {k: v[-1] for k, v in names["model"].history.history.items()}
    assert last["accuracy"] == last["val_accuracy"] == 1.0
    assert "['bad', 'good'] 3" in capsys.readouterr().out


def test_names_in_the_table_exist():
    table = re.findall(r"^\| .* \| `([\w.]+)", PAGE, re.M)
    assert len(table) == 7
    for name in table:
        owner = gpunn.utils if name.startswith("utils.") else gpunn.layers
        assert hasattr(owner, name.removeprefix("utils.")), name
