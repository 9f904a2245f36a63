"""The reading of reviews on a small folder in the layout of aclImdb."""

import random
import re

from tests.examples.running import EXAMPLES, run

SCRIPT = EXAMPLES / "sentiment.py"
KIND = ["good", "great", "lovely", "moving", "wonderful", "fine", "brilliant"]
UNKIND = ["bad", "dull", "stupid", "awful", "boring", "poor", "waste"]
REST = [
    "the",
    "film",
    "a",
    "story",
    "of",
    "it",
    "was",
    "and",
    "in",
    "with",
    "two",
    "hours",
    "played",
]


def make_reviews(folder):
    """Reviews of 20 to 60 words, of which a fifth tell, with IMDB's file names and line breaks."""
    rng = random.Random(0)
    for part, count in (("train", 200), ("test", 40)):
        for name, words, stars in (("neg", UNKIND, 2), ("pos", KIND, 9)):
            kind = folder / part / name
            kind.mkdir(parents=True)
            for i in range(count):
                said = [rng.choice(words if rng.random() < 0.2 else REST) for _ in range(60)]
                text = " ".join(said[: rng.randint(20, 60)]) + ".<br /><br />The end."
                (kind / f"{i}_{stars}.txt").write_text(text, encoding="utf-8")
        (folder / part / "labeledBow.feat").write_text("9 0:9", encoding="utf-8")
    (folder / "train" / "unsup").mkdir()
    (folder / "train" / "unsup" / "0_0.txt").write_text("Unlabelled.", encoding="utf-8")


def test_learns_from_reviews(tmp_path):
    make_reviews(tmp_path)
    done = run(SCRIPT, "--device", "cpu", "--data", tmp_path, "--epochs", 8)
    assert done.returncode == 0, done.stderr
    accuracy = re.search(r"Test accuracy: ([\d.]+)%", done.stdout)
    assert accuracy is not None and float(accuracy[1]) >= 85
    kind, unkind = map(int, re.findall(r"(\d+)% kind", done.stdout))
    assert kind > unkind


def test_without_reviews_it_says_where_they_are(tmp_path):
    (tmp_path / "train" / "pos").mkdir(parents=True)
    done = run(SCRIPT, "--data", tmp_path)
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert f"There are no reviews in {tmp_path}" in done.stderr
    assert "https://ai.stanford.edu/~amaas/data/sentiment/aclImdb_v1.tar.gz" in done.stderr
    assert "--data aclImdb" in done.stderr
