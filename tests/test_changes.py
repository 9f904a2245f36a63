"""The count of changes: what is switched and switched back leaves recordings as they were."""

from gpunn import layers
from gpunn.changes import changes, note_change


def test_a_layer_frozen_and_thawed_brings_the_count_back():
    a, b = layers.Dense(1), layers.Dense(1)
    start = changes.count
    a.trainable = False
    frozen = changes.count
    assert frozen != start
    a.trainable = False  # as it was: no change
    assert changes.count == frozen
    b.trainable = False
    a.trainable = True
    assert changes.count not in (start, frozen)
    b.trainable = True
    assert changes.count == start
    a.trainable = False
    assert changes.count == frozen


def test_after_another_change_no_former_count_comes_again():
    layer, seen = layers.Dense(1), set()
    for trainable in (False, True, False, True):
        seen.add(changes.count)
        layer.trainable = trainable
        note_change()
    assert len(seen) == 4 and changes.count > max(seen)


def test_layers_inside_count_each():
    class Pair(layers.Layer):
        def __init__(self):
            super().__init__()
            self.first, self.second = layers.Dense(1), layers.Dense(1)

    pair = Pair()
    start = changes.count
    pair.trainable = False
    pair.first.trainable = True
    pair.trainable = True  # `first` is so already
    assert changes.count == start
