"""Loss on labels that leave classes open: against a literal definition, full labels, and cases made by hand."""

from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from livercascade.data.coverage import ALL_CLASSES, LESION_CLASSES, classes_of, label_of
from livercascade.train.segmentation_loss import ANY_LESION, LIVER_WITH_CONTENT, GroupedLoss

UNKNOWN = label_of(LESION_CLASSES)
IGNORE = label_of(ALL_CLASSES)
PLAIN_LIVER = label_of({7, 8, 9})
OUTSIDE = label_of({0, 9, 10, 11, 12, 13})


def one_sample(labels: list[int]) -> torch.Tensor:
    return torch.tensor(labels)[None, None, None, None]


def literal(logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """One voxel after the other, one group after the other."""
    classes = logits.shape[1]
    shares = logits.softmax(1).permute(0, 2, 3, 4, 1).reshape(-1, classes)
    sets = [{c for c in classes_of(int(v)) if c < classes} for v in target.flatten()]
    said = [(p, s) for p, s in zip(shares, sets, strict=True) if len(s) < classes]
    entropy = torch.stack([-p[sorted(s)].sum().log() for p, s in said]).mean() if said else 0 * logits.sum()
    score = torch.zeros(())
    for groups in ([(c,) for c in range(1, classes)], [ANY_LESION, LIVER_WITH_CONTENT]):
        terms: list[torch.Tensor] = []
        for group in groups:
            inside = {c for c in group if c < classes}
            found = [
                (p[sorted(inside)].sum(), s <= inside)
                for p, s in zip(shares, sets, strict=True)
                if s <= inside or not s & inside
            ]
            volume = sum(sure for _, sure in found)
            if volume:
                overlap = torch.stack([p for p, sure in found if sure]).sum()
                terms.append((2 * overlap + 1) / (torch.stack([p for p, _ in found]).sum() + volume + 1))
        if terms:
            score = score + torch.stack(terms).mean()
    return entropy - score


@settings(max_examples=40)
@given(
    seed=st.integers(0, 10**6),
    classes=st.sampled_from([8, 14]),
    sets=st.lists(st.sets(st.integers(0, 7), min_size=1), min_size=4, max_size=4),
    ignored=st.booleans(),
)
def test_loss_and_gradient_equal_the_literal_definition(
    seed: int, classes: int, sets: list[set[int]], ignored: bool
) -> None:
    torch.manual_seed(seed)
    logits = (2 * torch.randn(1, classes, 2, 3, 4)).requires_grad_()
    values = torch.tensor([label_of(s) for s in sets] + ([IGNORE] if ignored else []))
    target = values[torch.randint(0, len(values), (1, 1, 2, 3, 4))]
    expected, found = literal(logits, target), GroupedLoss()(logits, target)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-4)
    (slope,) = torch.autograd.grad(expected, logits)
    (gradient,) = torch.autograd.grad(found, logits)
    torch.testing.assert_close(gradient, slope, atol=1e-5, rtol=1e-3)


@settings(max_examples=25)
@given(seed=st.integers(0, 10**6), group=st.sampled_from([(1, 2, 3, 4, 5, 6), (7, 8, 9), (0, 10, 11)]))
def test_moving_probability_within_a_set_changes_nothing(seed: int, group: tuple[int, ...]) -> None:
    # Neither rewarded nor punished: the network may share its belief among the open classes as it likes.
    torch.manual_seed(seed)
    logits = torch.randn(1, 14, 1, 2, 3)
    target = torch.full((1, 1, 1, 2, 3), label_of(group))
    moved = logits.clone()
    moved[:, list(group)] = logits[:, list(group)].flip(1)
    torch.testing.assert_close(GroupedLoss()(moved, target), GroupedLoss()(logits, target))


def test_nothing_said_gives_no_loss_and_no_pull() -> None:
    logits = torch.randn(1, 14, 2, 3, 4, requires_grad=True)
    loss = GroupedLoss()(logits, torch.full((1, 1, 2, 3, 4), IGNORE))
    (slope,) = torch.autograd.grad(loss, logits)
    assert abs(float(loss.detach())) < 1e-5
    assert float(slope.abs().max()) < 1e-6


def test_ignored_voxels_change_neither_the_loss_nor_the_pull_of_the_others() -> None:
    torch.manual_seed(3)
    labels = [0, OUTSIDE, PLAIN_LIVER, 7, UNKNOWN, 3, 13]
    logits = torch.randn(1, 14, 1, 1, len(labels) + 2, requires_grad=True)
    short = logits[..., : len(labels)]
    alone, together = (
        GroupedLoss()(short, one_sample(labels)),
        GroupedLoss()(logits, one_sample([*labels, IGNORE, IGNORE])),
    )
    torch.testing.assert_close(together, alone)
    (a,), (b,) = torch.autograd.grad(alone, logits, retain_graph=True), torch.autograd.grad(together, logits)
    torch.testing.assert_close(b, a, atol=1e-7, rtol=1e-5)


def test_a_venous_scan_with_liver_and_untyped_lesions() -> None:
    """Perfect by what is known, whichever type and organ the network sees."""
    labels = [OUTSIDE, OUTSIDE, PLAIN_LIVER, PLAIN_LIVER, UNKNOWN, UNKNOWN]
    for believed in ([0, 11, 7, 8, 1, 1], [13, 0, 8, 7, 6, 2]):
        logits = 40 * functional.one_hot(torch.tensor(believed), 14).T.float()[None, :, None, None]
        loss = GroupedLoss()(logits, one_sample(labels))
        # Nothing but the groups has a sure voxel: their Dice is 1, the cross-entropy 0.
        torch.testing.assert_close(loss, torch.tensor(-1.0), atol=1e-4, rtol=0)
    # A lesion called liver, liver called lesion, spleen called liver: each is punished.
    for wrong in ([0, 11, 7, 8, 7, 1], [0, 11, 1, 8, 1, 1], [7, 0, 7, 7, 1, 1]):
        logits = 40 * functional.one_hot(torch.tensor(wrong), 14).T.float()[None, :, None, None]
        assert float(GroupedLoss()(logits, one_sample(labels))) > 1


@settings(max_examples=10)
@given(seed=st.integers(0, 10**6))
def test_partial_labels_pull_the_way_full_ones_do(seed: int) -> None:
    """From the same start both trainings end at the same groups; types stay free in the partial one."""
    torch.manual_seed(seed)
    full = torch.randint(0, 14, (1, 1, 1, 4, 6))
    partial = full.clone()
    partial[(full >= 1) & (full <= 6)] = UNKNOWN
    partial[(full == 7) | (full == 8)] = label_of({7, 8})
    belief = torch.zeros(1, 14, 1, 4, 6, requires_grad=True)
    optimiser = torch.optim.Adam([belief], 0.3)
    for _ in range(150):
        optimiser.zero_grad()
        GroupedLoss()(belief, partial).backward()
        optimiser.step()
    found, known = belief.argmax(1)[:, None], lambda v: torch.where((v >= 1) & (v <= 6), 1, torch.where(v == 8, 7, v))
    assert torch.equal(known(found), known(full))
