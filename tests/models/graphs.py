"""Models made of inputs and outputs, each for Keras and for gpunn: `make(k)`."""

GRAPHS = {}


def graph(make):
    """List a function that makes a model with Keras or gpunn."""
    GRAPHS[make.__name__] = make
    return make


@graph
def chain(k):
    x = k.Input((5,))
    h = k.layers.Dense(4, "relu")(x)
    return k.Model(x, k.layers.Dense(3)(h), name="net")


@graph
def two_inputs(k):
    a, b = k.Input((5,), name="a"), k.Input((3,), name="b")
    left = k.layers.Dense(4, "tanh", name="left")(a)
    right = k.layers.Dense(4, name="right")(b)
    return k.Model([a, b], k.layers.Dense(2)(k.layers.concatenate([left, right])))


@graph
def two_outputs(k):
    x = k.Input((5,))
    h = k.layers.Dense(4)(x)
    y = k.layers.Dense(1, "sigmoid", name="class")(h)
    return k.Model(inputs=x, outputs=[k.layers.Dense(2, name="box")(h), y])


@graph
def dicts(k):
    inputs = {"wide": k.Input((3,), name="wide"), "deep": k.Input((5,), name="deep")}
    deep = k.layers.Dense(4, "relu")(inputs["deep"])
    both = k.layers.Concatenate()([inputs["wide"], deep])
    return k.Model(inputs, {"z": k.layers.Dense(1)(both), "a": k.layers.Dense(2)(deep), "h": both})


@graph
def nested_structures(k):
    a, b, c = (k.Input((3,), name=n) for n in "abc")
    h = k.layers.Add()([a, b])
    return k.Model([(a, b), {"c": c}], {"sum": h, "rest": (h * c, [a - c])})


@graph
def shared(k):
    dense = k.layers.Dense(3, "tanh")
    a, b = k.Input((3,)), k.Input((3,))
    left, right = dense(a), dense(dense(b))
    return k.Model([a, b], [k.layers.Subtract()([left, right]), right])


@graph
def residual(k):
    x = k.Input((8, 8, 3))
    h = k.layers.Conv2D(4, 3, padding="same")(x)
    for _ in range(2):
        f = k.layers.BatchNormalization()(h)
        f = k.layers.Activation("relu")(f)
        f = k.layers.Conv2D(4, 3, padding="same")(f)
        h = k.layers.add([h, f])
    return k.Model(x, k.layers.GlobalAveragePooling2D()(h))


@graph
def inception(k):
    x = k.Input((8, 8, 3))
    parts = [
        k.layers.Conv2D(2, 1)(x),
        k.layers.Conv2D(2, 3, padding="same")(k.layers.Conv2D(2, 1)(x)),
        k.layers.Conv2D(2, 1)(k.layers.MaxPooling2D(3, 1, padding="same")(x)),
    ]
    h = k.layers.Concatenate(axis=-1)(parts)
    return k.Model(x, k.layers.Dense(2)(k.layers.Flatten()(h)))


@graph
def branch_at_a_pooled_convolution(k):
    x = k.Input((8, 8, 3))
    c = k.layers.Conv2D(4, 3, activation="relu")(x)
    p = k.layers.MaxPooling2D()(c)
    return k.Model(x, [k.layers.GlobalMaxPooling2D()(c), k.layers.Flatten()(p)])


@graph
def nested(k):
    x = k.Input((5,))
    encoder = k.Model(x, k.layers.Dense(2, name="code")(k.layers.Dense(4)(x)), name="encoder")
    z = k.Input((2,))
    decoder = k.Model(z, k.layers.Dense(5)(k.layers.Dense(4)(z)), name="decoder")
    y = k.Input((5,))
    return k.Model(y, decoder(encoder(y)), name="autoencoder")


@graph
def nested_twice(k):
    x = k.Input((4,))
    inner = k.Model(x, k.layers.Dense(4, "relu", name="d")(x), name="inner")
    y = k.Input((4,))
    middle = k.Model(y, [inner(y), inner(inner(y))], name="middle")
    z = k.Input((4,))
    return k.Model(z, k.layers.add(middle(k.layers.Dense(4)(z))))


@graph
def sequential_inside(k):
    x = k.Input((5,))
    block = k.Sequential([k.layers.Dense(4, "relu"), k.layers.Dense(3)], name="block")
    known = k.Sequential([k.Input((3,)), k.layers.Dense(3)], name="known")
    return k.Model(x, known(block(x)))


@graph
def operators(k):
    a, b = k.Input((3,), name="a"), k.Input((3,), name="b")
    h = (a + b * 2.0 - 1) / 3.0 - a**2 + 2.0 / (b**2 + 1.0) - (-a)
    return k.Model([a, b], [abs(h), h > 0.5, h // 2, 1 - (a >= b) * h])


@graph
def slices(k):
    x = k.Input((6, 4))
    parts = [x[:, 0], x[:, -1, 1:3], x[..., ::2], x[:, None, 1], x[:, 1:4]]
    return k.Model(x, [k.layers.Dense(2)(k.layers.Flatten()(p)) for p in parts])


@graph
def ops_between(k):
    x = k.Input((6, 4))
    h = k.ops.mean(x, axis=1, keepdims=True)
    h = k.ops.concatenate([x - h, k.ops.square(x)], axis=-1)
    h = k.ops.reshape(h, (-1, 48))
    return k.Model(x, k.ops.softmax(k.layers.Dense(3)(k.ops.relu(h))))


@graph
def attention_by_hand(k):
    x = k.Input((6, 4))
    q, key, v = (k.layers.Dense(4, name=n)(x) for n in ("q", "key", "v"))
    scores = k.ops.matmul(q, k.ops.transpose(key, (0, 2, 1))) / 2.0
    return k.Model(x, k.ops.einsum("bij,bjk->bik", k.ops.softmax(scores, axis=-1), v))


@graph
def op_with_lists(k):
    x = k.Input((6, 4))
    first, second = k.ops.split(x, 2, axis=1)
    stacked = k.ops.stack([first, second, first * second], axis=2)
    return k.Model(x, [k.ops.max(stacked, axis=2), k.ops.where(first > 0, first, second)])


@graph
def intermediate(k):
    x = k.Input((5,))
    h = k.layers.Dense(4, name="h")(x)
    y = k.layers.Dense(3)(h)
    return k.Model(x, [h, y, h])


@graph
def tail(k):
    """From a tensor in the middle."""
    x = k.Input((5,))
    h = k.layers.Dense(4, name="h")(x)
    y = k.layers.Dense(3, name="y")(k.layers.Dense(2, name="m")(h))
    k.Model(x, y)
    return k.Model(h, y)


@graph
def several_results(k):
    x = k.Input((6, 4))
    y, h, c = k.layers.LSTM(3, return_state=True, return_sequences=True)(x)
    z = k.layers.LSTM(3)(y, initial_state=[h, c])
    return k.Model(x, [z, h])


@graph
def cross_attention(k):
    a, b = k.Input((6, 4)), k.Input((5, 4))
    y = k.layers.MultiHeadAttention(2, 3)(a, value=b)
    return k.Model([a, b], k.layers.LayerNormalization()(a + y))


@graph
def integers(k):
    words = k.Input((7,), dtype="int32", name="words")
    h = k.layers.Embedding(20, 4, mask_zero=True)(words)
    return k.Model(words, k.layers.Dense(2)(k.layers.GRU(3)(h)))


@graph
def lambdas(k):
    x = k.Input((5,))
    h = k.layers.Lambda(lambda t: t * 2, name="twice")(x)
    return k.Model(x, k.layers.Dense(2)(h))


@graph
def one_input_twice(k):
    x = k.Input((5,))
    return k.Model(x, k.layers.Multiply()([x, x]))


@graph
def input_as_output(k):
    x = k.Input((5,))
    return k.Model(x, [x, k.layers.Dense(2)(x)])


@graph
def diamond_of_unequal_depth(k):
    x = k.Input((4,))
    a = k.layers.Dense(4, name="a")(x)
    b = k.layers.Dense(4, name="b")(a)
    c = k.layers.Dense(4, name="c")(b)
    d = k.layers.Dense(4, name="d")(x)
    return k.Model(x, k.layers.Add(name="sum")([d, c, a]))


@graph
def separate(k):
    a, b = k.Input((4,), name="a"), k.Input((4,), name="b")
    ys = k.layers.Dense(2, name="ya")(a), k.layers.Dense(3, name="yb")(k.layers.Dense(2)(b))
    return k.Model((a, b), ys)


@graph
def time_distributed(k):
    x = k.Input((None, 5))
    h = k.layers.TimeDistributed(k.layers.Dense(3))(x)
    return k.Model(x, k.layers.Bidirectional(k.layers.LSTM(2))(h))


@graph
def a_sequence_of_ops(k):
    x = k.Input((4, 6))
    ops = k.ops
    parts = [
        ops.clip(ops.exp(x), 0.5, 2.0), ops.cumsum(x, axis=1), ops.flip(x, axis=-1),
        ops.roll(x, 1, axis=1), ops.pad(x, ((0, 0), (1, 1), (0, 0))), ops.tile(x, (1, 2, 1)),
        ops.repeat(x, 2, axis=1), ops.take(x, [2, 0], axis=1), ops.logsumexp(x, axis=-1),
        ops.swapaxes(x, 1, 2), ops.squeeze(x[:, :1], 1), ops.argmax(x, axis=-1),
        ops.cast(x > 0, "int32"), ops.one_hot(ops.argmax(x, axis=-1), 6), ops.sort(x, axis=-1),
        ops.prod(x, axis=-1), ops.dot(x, ops.ones((6, 2))), ops.maximum(x, 0.1), ops.var(x, axis=1),
        ops.matmul(x, ops.swapaxes(x, 1, 2)), ops.zeros_like(x), ops.log_softmax(x, axis=-1),
        ops.tensordot(x, ops.ones((6, 3)), 1), ops.top_k(x, 2)[0], ops.all(x > -9, axis=1),
    ]  # fmt: skip
    return k.Model(x, parts)
