import pytest
import torch

from latent.nn.word_attention import fused, plain

LENGTHS = torch.tensor([7, 1, 5])
BIAS = torch.tensor([0.3], requires_grad=True)


def real_arcs(copies=1):
    """Which entries of the structures are arcs to words that are there."""
    places = torch.arange(8)
    inside = (places <= LENGTHS[:, None]).repeat(copies, 1)
    return inside[:, :, None] & inside[:, None, :] & (places > 0)


def problem(dtype=torch.float64, copies=1, size=5):
    """Nodes, a mixture and a tree in turn, and a query; what lies at padding should not matter."""
    torch.manual_seed(0)
    nodes, query = torch.randn(3, 8, 2 * size, dtype=dtype), torch.randn(size, dtype=dtype)
    structure = torch.rand(3 * copies, 8, 8, dtype=dtype)
    structure[1::2] = torch.eye(8, dtype=dtype).roll(-1, 0)
    return tuple(tensor.requires_grad_() for tensor in (nodes, structure * real_arcs(copies), query))


def by_words(nodes, structure, query, lengths):
    """The formula word by word, which reads nothing at padding."""
    size, pooled = len(query), []
    for s, tree in enumerate(structure):
        b = s % len(nodes)
        words = []
        for m in range(1, int(lengths[b]) + 1):
            heads = sum(tree[h, m] * nodes[b, h, size:] for h in range(int(lengths[b]) + 1))
            words.append((nodes[b, m, :size] + heads).clamp(min=0))
        weights = torch.stack([query @ word for word in words]).exp()
        pooled.append(sum(w * word for w, word in zip(weights / weights.sum(), words, strict=True)))
    return torch.stack(pooled)


@pytest.mark.parametrize("attend", [plain, fused])
@pytest.mark.parametrize("copies", [1, 2])
@pytest.mark.parametrize("size", [1, 5, 70])
def test_vectors_and_gradients_are_those_of_the_formula(attend, copies, size):
    given = problem(copies=copies, size=size)
    found, wanted = attend(*given, BIAS, LENGTHS), by_words(*given, LENGTHS)
    torch.testing.assert_close(found, wanted)
    incoming = torch.randn_like(wanted)
    gradients = torch.autograd.grad(found, given, incoming)
    gradients[1].mul_(real_arcs(copies))  # of the others, each attends as it likes
    torch.testing.assert_close(gradients, torch.autograd.grad(wanted, given, incoming))


@pytest.mark.parametrize("wanted", [(0,), (1,), (2,), (0, 2), (0, 1, 2)])
def test_any_gradient_may_be_asked_for_alone(wanted):
    given = problem()
    incoming = torch.randn(3, 5, dtype=torch.float64)
    truth = torch.autograd.grad(by_words(*given, LENGTHS), given, incoming)
    asked = [tensor if i in wanted else tensor.detach() for i, tensor in enumerate(given)]
    found = torch.autograd.grad(fused(*asked, BIAS, LENGTHS), [given[i] for i in wanted], incoming)
    torch.testing.assert_close(found, tuple(truth[i] for i in wanted))


def test_nothing_is_read_at_padding():
    nodes, structure, query = problem()
    wanted = fused(nodes, structure, query, BIAS, LENGTHS)
    broken = nodes.detach().clone()
    broken[1, 2:] = torch.nan
    broken.requires_grad_()
    found = fused(broken, structure, query, BIAS, LENGTHS)
    assert torch.equal(found, wanted)
    to_nodes, to_structure = torch.autograd.grad(found.sum(), (broken, structure))
    assert to_nodes[1, 2:].eq(0).all()
    assert to_structure[1, 2:].eq(0).all()
    assert to_structure[1, :, 2:].eq(0).all()


@pytest.mark.parametrize("attend", [plain, fused])
def test_a_bias_gets_a_gradient_of_exactly_zero(attend):
    (gradient,) = torch.autograd.grad(attend(*problem(torch.float32), BIAS, LENGTHS).sum(), BIAS)
    assert torch.equal(gradient, torch.zeros(1))


@pytest.mark.parametrize("scale", [1e3, -1e3])
def test_words_far_apart_in_importance_stay_finite(scale):
    nodes, structure, query = problem(torch.float32)
    found = fused(nodes, structure, scale * query, BIAS, LENGTHS)
    torch.testing.assert_close(found, plain(nodes, structure, scale * query, BIAS, LENGTHS))
    assert all(g.isfinite().all() for g in torch.autograd.grad(found.sum(), (nodes, structure, query)))


@pytest.mark.parametrize("attend", [plain, fused])
def test_half_precision_comes_close(attend):
    nodes, structure, query = problem(torch.float32)
    with torch.autocast("cpu", torch.bfloat16):
        found = attend(nodes.bfloat16(), structure, query, BIAS, LENGTHS)
    torch.testing.assert_close(
        found.float(), plain(nodes, structure, query, BIAS, LENGTHS), rtol=0.05, atol=0.05
    )


@pytest.mark.parametrize("attend", [plain, fused])
def test_a_structure_of_other_sentences_is_named(attend):
    nodes, _, query = problem()
    with pytest.raises(ValueError, match=r"structure must be .* got \(3, 7, 7\) and \(3, 8, "):
        attend(nodes, torch.zeros(3, 7, 7), query, BIAS, LENGTHS)


def test_threads_agree():
    """Several threads, each on its own sentences, compute what one does, to the bit."""
    torch.manual_seed(0)
    lengths, given = (
        torch.full((64,), 30),
        (torch.randn(64, 31, 256), torch.rand(128, 31, 31), torch.randn(128)),
    )
    given = [tensor.requires_grad_() for tensor in given]
    before, results = torch.get_num_threads(), []
    for count in (1, 3):
        torch.set_num_threads(count)
        pooled = fused(*given, BIAS, lengths)
        results.append((pooled, *torch.autograd.grad(pooled.square().sum(), given[:2])))
    torch.set_num_threads(before)
    assert all(torch.equal(one, other) for one, other in zip(*results, strict=True))


@pytest.mark.parametrize("length", [0, 8])
def test_a_length_out_of_range_is_named(length):
    with pytest.raises(ValueError, match=f"from 1 to 7 words, .* got {length} for sentence 2"):
        fused(*problem(), BIAS, torch.tensor([7, 1, length]))
