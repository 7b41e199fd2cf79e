import pytest
import torch
from torch import nn

from latent.nn.arc_scorer import ArcScorer
from latent.nn.decoder import HeadDecoder
from latent.nn.encoder import BiLSTM, Encoder, make_batch
from latent.nn.head_context import head_context
from latent.text import PADDING, Vocabulary


def test_arc_scores_are_the_papers_formula():
    torch.manual_seed(0)
    scorer = ArcScorer(6, 5).double()
    states = torch.randn(2, 4, 6, dtype=torch.float64)
    scores = scorer(states, torch.tensor([3, 2]))
    head_half, modifier_half = scorer.ends.weight.chunk(2)
    matrix = torch.cat([head_half, modifier_half], dim=1)
    bias = sum(scorer.ends.bias.chunk(2))
    for b in range(2):
        for i in range(4):
            for j in range(4):
                pair = torch.cat([states[b, i], states[b, j]])
                wanted = scorer.weight @ torch.tanh(matrix @ pair + bias)
                if j == 0 or i == j or (b == 1 and max(i, j) > 2):
                    wanted = torch.zeros_like(wanted)
                torch.testing.assert_close(scores[b, i, j], wanted)


def test_head_context_of_a_tree_is_the_state_of_each_head():
    states = torch.randn(1, 4, 3)
    heads = [2, 0, 2]
    tree = torch.zeros(1, 4, 4)
    for modifier, head in enumerate(heads, start=1):
        tree[0, head, modifier] = 1
    assert torch.equal(head_context(tree, states)[0], states[0, heads])


def test_head_context_of_a_mixture_is_the_mixture_of_contexts():
    states = torch.randn(2, 5, 3, dtype=torch.float64)
    one, other = torch.rand(2, 2, 5, 5, dtype=torch.float64)
    mixed = head_context(0.3 * one + 0.7 * other, states)
    torch.testing.assert_close(mixed, 0.3 * head_context(one, states) + 0.7 * head_context(other, states))


def test_head_context_names_the_shapes():
    with pytest.raises(ValueError, match=r"head_context: .*\(2, 3, 3\) and \(2, 4, 5\)"):
        head_context(torch.zeros(2, 3, 3), torch.zeros(2, 4, 5))


def test_bilstm_equals_torchs_packed_bidirectional_lstm():
    torch.manual_seed(0)
    ours = BiLSTM(3, 4)
    theirs = nn.LSTM(3, 4, batch_first=True, bidirectional=True)
    for name, parameter in ours.forwards.named_parameters():
        getattr(theirs, name).data = parameter.data
    for name, parameter in ours.backwards.named_parameters():
        getattr(theirs, f"{name}_reverse").data = parameter.data
    vectors, lengths = torch.randn(3, 6, 3), torch.tensor([6, 1, 4])
    packed = nn.utils.rnn.pack_padded_sequence(vectors, lengths, batch_first=True, enforce_sorted=False)
    wanted, _ = nn.utils.rnn.pad_packed_sequence(theirs(packed)[0], batch_first=True)
    torch.testing.assert_close(ours(vectors, lengths), wanted)


def test_padding_reaches_neither_states_nor_gradients():
    torch.manual_seed(0)
    lstm = BiLSTM(3, 4)
    lengths = torch.tensor([5, 2])
    vectors = torch.randn(2, 5, 3, requires_grad=True)
    states = lstm(vectors, lengths)
    other = vectors.detach().clone()
    other[1, 2:] = 1e3
    assert torch.equal(lstm(other, lengths), states)
    (gradient,) = torch.autograd.grad(states.square().sum(), vectors)
    assert gradient[1, 2:].eq(0).all()
    assert gradient[1, :2].ne(0).all()


def test_root_stands_before_the_words():
    encoder = Encoder(Vocabulary(["a", "b"]), 4, 6)
    states = encoder(make_batch([[2, 3], [3]]))
    assert states.shape == (2, 3, 6)
    assert torch.equal(states[0, 0], encoder.root)
    assert torch.equal(states[1, 0], encoder.root)
    assert states[1, 2].eq(0).all()


def test_words_are_read_with_a_share_of_their_heads():
    torch.manual_seed(0)
    decoder = HeadDecoder(4, 2, head_scale=0.25)
    states, tree, lengths = torch.randn(1, 4, 4), torch.eye(4).roll(-1, 0)[None], torch.tensor([3])
    heads = head_context(tree, states)
    hidden = torch.relu(decoder.affine(torch.cat([states[:, 1:], 0.25 * heads], -1)))[0]
    wanted = decoder.output(decoder.query(hidden).softmax(0).T @ hidden)
    torch.testing.assert_close(decoder(decoder.project(states), tree, lengths), wanted)


def test_attention_weighs_words():
    """With a query of zeros every word weighs the same; a strong query picks one word's vector."""
    torch.manual_seed(0)
    decoder = HeadDecoder(4, 2)
    states, tree, lengths = torch.randn(1, 4, 4), torch.eye(4)[None], torch.tensor([3])
    hidden = torch.relu(decoder.affine(torch.cat([states[:, 1:], states[:, 1:]], -1)))[0]
    decoder.query.weight.data.zero_()
    torch.testing.assert_close(
        decoder(decoder.project(states), tree, lengths)[0], decoder.output(hidden.mean(0))
    )
    decoder.query.weight.data = 1e4 * (hidden[1] - hidden[[0, 2]].mean(0))[None]
    best = int((hidden @ decoder.query.weight[0]).argmax())
    torch.testing.assert_close(
        decoder(decoder.project(states), tree, lengths)[0], decoder.output(hidden[best])
    )


def test_batch_pads_at_the_end():
    batch = make_batch([[5, 6, 7], [8]])
    assert batch.ids.tolist() == [[5, 6, 7], [8, PADDING, PADDING]]
    assert batch.lengths.tolist() == [3, 1]


@pytest.mark.parametrize(
    ("sentences", "message"), [([], "got no sentences"), ([[3], []], "sentence 1 has none")]
)
def test_batch_needs_words(sentences, message):
    with pytest.raises(ValueError, match=message):
        make_batch(sentences)
