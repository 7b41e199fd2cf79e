import pytest
import torch

from latent.nn.arc_scorer import ArcScorer, distance_scores, fused_scores, plain_scores

LENGTHS = torch.tensor([5, 1, 3])


def problem(dtype, scale=1.0):
    torch.manual_seed(0)
    ends = (scale * torch.randn(3, 6, 14, dtype=dtype)).requires_grad_()
    weight = torch.randn(7, dtype=dtype, requires_grad=True)
    return ends, weight, torch.randn(3, 6, 6, dtype=dtype)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 2e-6)])
def test_fused_scores_and_gradients_are_those_of_the_formula(dtype, tolerance):
    ends, weight, incoming = problem(dtype)
    plain, fused = plain_scores(ends, weight, LENGTHS), fused_scores(ends, weight, LENGTHS)
    torch.testing.assert_close(fused, plain, rtol=tolerance, atol=tolerance)
    wanted = torch.autograd.grad(plain, (ends, weight), incoming)
    found = torch.autograd.grad(fused, (ends, weight), incoming)
    torch.testing.assert_close(found, wanted, rtol=10 * tolerance, atol=10 * tolerance)


def test_gradcheck():
    ends, weight, _ = problem(torch.float64)
    assert torch.autograd.gradcheck(lambda e, w: fused_scores(e, w, LENGTHS), (ends, weight))


@pytest.mark.parametrize("scale", [30.0, 1e4])
def test_saturated_ends_stay_finite(scale):
    """Ends of one sign far beyond where tanh is 1: scores are sums of ± v, gradients vanish."""
    _, weight, incoming = problem(torch.float32)
    signs = torch.randn(14).sign()
    signs[7:] = signs[:7]
    ends = (scale * signs.expand(3, 6, 14)).clone().requires_grad_()
    scores = fused_scores(ends, weight, LENGTHS)
    arcs = plain_scores(torch.zeros_like(ends) + 1, weight, LENGTHS) != 0
    assert torch.allclose(scores[arcs], (signs[:7] * weight).sum(), atol=1e-5)
    (gradient,) = torch.autograd.grad(scores, ends, incoming)
    assert gradient.abs().max() < 1e-6


def test_what_is_no_arc_scores_zero_and_gets_no_gradient():
    ends, weight, _ = problem(torch.float64)
    scores = fused_scores(ends, weight, LENGTHS)
    for b, length in enumerate(LENGTHS.tolist()):
        for i in range(6):
            for j in range(6):
                if j == 0 or i == j or max(i, j) > length:
                    assert scores[b, i, j] == 0
    (gradient,) = torch.autograd.grad(scores.sum(), ends)
    assert gradient[1, 2:].eq(0).all()
    assert gradient[0, 1:].ne(0).all()


@pytest.mark.parametrize("score", [plain_scores, fused_scores])
def test_half_precision_is_scored_in_single(score):
    ends, weight, _ = problem(torch.float32)
    with torch.autocast("cpu", torch.bfloat16):
        scores = score(ends.bfloat16(), weight, LENGTHS)
    assert scores.dtype == torch.float32
    torch.testing.assert_close(scores, plain_scores(ends, weight, LENGTHS), rtol=0.05, atol=0.05)


def test_threads_agree():
    """Several threads, each on its own sentences, score as one does, to the bit."""
    torch.manual_seed(0)
    scorer, states, lengths = ArcScorer(16, 64), torch.randn(64, 31, 16), torch.full((64,), 30)
    before = torch.get_num_threads()
    results = []
    for count in (1, 3):
        torch.set_num_threads(count)
        scores = scorer(states, lengths)
        scorer.zero_grad()
        scores.square().sum().backward()
        results.append((scores, scorer.weight.grad.clone()))
    torch.set_num_threads(before)
    assert torch.equal(results[0][0], results[1][0])
    torch.testing.assert_close(results[0][1], results[1][1], rtol=1e-4, atol=1e-4)


def test_distances_add_one_learned_number_for_each_reach():
    """Compared with the sum written out arc by arc, also for its gradient."""
    weight = torch.tensor([5.0, 3.0, 0.5, 2.0, 7.0], requires_grad=True)  # reaches -2 … 2
    found = distance_scores(weight, LENGTHS, 6)
    wanted = torch.zeros(3, 6, 6)
    for b, length in enumerate(LENGTHS.tolist()):
        for head in range(1, length + 1):
            for modifier in range(1, length + 1):
                if head != modifier:
                    wanted[b, head, modifier] = weight[2 + max(-2, min(2, modifier - head))]
    torch.testing.assert_close(found, wanted)
    incoming = torch.randn(3, 6, 6)
    torch.testing.assert_close(
        torch.autograd.grad(found, weight, incoming), torch.autograd.grad(wanted, weight, incoming)
    )


def test_a_scorer_with_distances_starts_as_one_without():
    states = torch.randn(3, 6, 8)
    torch.manual_seed(3)
    with_distances = ArcScorer(8, 4, distances=3)
    torch.manual_seed(3)
    without = ArcScorer(8, 4)
    assert torch.equal(with_distances(states, LENGTHS), without(states, LENGTHS))
    with_distances(states, LENGTHS).sum().backward()
    assert with_distances.distance.grad.ne(0).sum() == 6  # all reaches but zero


@pytest.mark.parametrize("length", [-1, 6])
def test_a_length_out_of_range_is_named(length):
    ends, weight, _ = problem(torch.float32)
    with pytest.raises(ValueError, match=f"from 1 to 5 words, .* got {length} for sentence 1"):
        fused_scores(ends, weight, torch.tensor([5, length, 3]))
