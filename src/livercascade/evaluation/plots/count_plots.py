"""Plots of counts: patients by reference and verdict (Fig. 10), what the vote changes, same and diff."""

from __future__ import annotations

import numpy as np
from jaxtyping import Int
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from livercascade.data.labels import LESION_TYPES
from livercascade.evaluation.curves.all_curves import CohortCurves
from livercascade.evaluation.curves.sensitivity_agreement import AgreementYield
from livercascade.evaluation.curves.vote_effects import Transition, VoteEffect
from livercascade.evaluation.output.figure_files import DrawnFigure
from livercascade.evaluation.plots.plot_style import (
    BLUE,
    GREEN,
    INK,
    MUTED,
    ORANGE,
    SKY,
    VERMILION,
    as_text,
    legend,
    picture,
    plain,
    sheet,
)

_GROUPS = ("malignant", "benign", "normal")
_GROUP_COLOURS = (VERMILION, ORANGE, SKY)
_CHANGE_COLOURS = {
    VoteEffect.CORRECT_CORRECT: GREEN,
    VoteEffect.WRONG_CORRECT: SKY,
    VoteEffect.CORRECT_WRONG: VERMILION,
    VoteEffect.WRONG_WRONG: ORANGE,
    VoteEffect.REMOVED_CORRECT: MUTED,
    VoteEffect.REMOVED_WRONG: "#c4cbd1",
}


_LEGIBLE = 0.04
"""Share of the longest bar that has room for its number; smaller parts are told beside the bar."""


def patient_distribution(table: Int[np.ndarray, "3 4"], model: str, *, virtual: bool, suffix: str = "") -> DrawnFigure:
    """Patients by verdict, coloured by reference (paper, Fig. 10).

    Args:
        table: True malignant, benign, normal in rows; called malignant, benign, normal, UNCERTAIN in columns.
        model: Name of the model.
        virtual: True if the patients are virtual.
        suffix: End of the file name, which keeps models apart.
    """
    figure = sheet(3.2)
    axes = figure.subplots(1, 1)
    verdicts = (*_GROUPS, "UNCERTAIN")
    left, longest = np.zeros(4), float(table.sum(axis=0).max())
    narrow: list[list[str]] = [[] for _ in verdicts]
    for row, (name, colour) in enumerate(zip(_GROUPS, _GROUP_COLOURS, strict=True)):
        axes.barh(range(4), table[row], left=left, color=colour, label=f"truly {name}", height=0.62)
        for column in range(4):
            count = int(table[row, column])
            if count >= _LEGIBLE * longest and count:
                axes.text(left[column] + count / 2, column, str(count), ha="center", va="center", fontsize=8,
                          color=INK)  # fmt: skip
            elif count:
                narrow[column].append(f"{count} {name}")
        left = left + table[row]
    for column, names in enumerate(narrow):
        words = ", ".join(names) if left[column] else "none"
        axes.text(left[column], column, f" {words}", va="center", fontsize=7, color=MUTED)
    axes.set_yticks(range(4), verdicts)
    axes.invert_yaxis()
    axes.set_xlim(0, max(longest * 1.12, 1.0))
    axes.xaxis.set_major_locator(MaxNLocator(8, integer=True))
    plain(axes, xlabel="patients", ylabel="verdict", grid="x")
    axes.legend(fontsize=7.5, frameon=False, ncols=3, loc="lower right", bbox_to_anchor=(1.0, 1.0), labelcolor=INK)
    figure.tight_layout(rect=(0, 0, 1, 0.95))
    parts = "; ".join(
        f"called {v}: " + ", ".join(f"{table[r, c]} truly {g}" for r, g in enumerate(_GROUPS))
        for c, v in enumerate(verdicts)
    )
    return picture(
        figure,
        f"figure_10_patients{suffix}",
        f"Fig. 10: patients by verdict of {model} and truth",
        f"{int(table.sum())} patients; UNCERTAIN: both sensitivities give different classes.",
        f"{parts}.",
        virtual=virtual,
    )


def transition_plot(curves: CohortCurves, *, virtual: bool, suffix: str = "") -> DrawnFigure:
    """What the vote of UNet^patch does to types, and the types before and after at High."""
    figure = sheet(3.4)
    left, right = figure.subplots(1, 2, width_ratios=(1.2, 1))
    for row, made in enumerate(curves.transitions):
        _changes(left, made, row)
    names = [f"{name}\n(f = {t.factor:g})" for name, t in zip(("Base", "High"), curves.transitions, strict=True)]
    left.set_yticks(range(len(names)), names)
    left.invert_yaxis()
    plain(left, xlabel="proposals that touch a true lesion", title="type before and after the vote", grid="x")
    handles, labels = left.get_legend_handles_labels()
    known = dict(zip(labels, handles, strict=True))
    figure.legend(known.values(), known.keys(), fontsize=7, frameon=False, ncols=3, loc="lower left", labelcolor=INK)
    high = curves.transitions[-1]
    _matrix(right, np.array(high.types))
    figure.tight_layout(rect=(0, 0.13, 1, 0.94))
    force = "was in force" if high.in_force else "was not in force: shown is what it would have done"
    return picture(
        figure,
        f"transition{suffix}",
        "What the vote of UNet^patch does to types",
        f"Correct: a true lesion touched has the type. The vote {force}. Corrected less spoilt at High: "
        f"{as_text(high.gain, digits=0)}. Right: types of the kept true proposals of High.",
        virtual=virtual,
    )


def agreement_plot(curves: CohortCurves, *, virtual: bool, suffix: str = "") -> DrawnFigure:
    """How many findings that both sensitivities share are true, and of the others (paper, eq. 7)."""
    figure = sheet(2.8)
    axes = figure.subplots(1, 1)
    rows = _kinds(curves.agreement)
    for row, (name, findings, true, typed) in enumerate(rows):
        axes.barh(row, findings, color="#d8dde1", height=0.66, label="no true lesion" if row == 0 else None)
        axes.barh(row, true, color=SKY, height=0.66, label="true, other type" if row == 0 else None)
        axes.barh(row, typed, color=BLUE, height=0.66, label="true, right type" if row == 0 else None)
        del name
    most = max((findings for _, findings, _, _ in rows), default=0)
    for row, (_, findings, true, _) in enumerate(rows):
        share = f"  {true} of {findings} true" if findings else "  none"
        axes.text(findings, row, share, va="center", fontsize=7.5, color=INK)
    axes.set_yticks(range(len(rows)), [name for name, *_ in rows])
    axes.invert_yaxis()
    axes.set_xlim(0, max(most * 1.3, 1))
    plain(axes, xlabel="findings after reclassification", grid="x")
    legend(axes, place="lower right")
    figure.tight_layout(rect=(0, 0, 1, 0.93))
    return picture(
        figure,
        f"same_and_diff{suffix}",
        "Eq. 7: what both sensitivities find, and what only one does",
        f"Positive predictive value of same {as_text(curves.agreement.same.ppv, percent=True)}, of diff "
        f"{as_text(curves.agreement.diff.ppv, percent=True)}.",
        virtual=virtual,
    )


def _changes(axes: Axes, made: Transition, row: int) -> None:
    left = 0.0
    for change, colour in _CHANGE_COLOURS.items():
        count = made.changes[change].value or 0.0
        axes.barh(row, count, left=left, color=colour, label=change.value, height=0.56)
        if count:
            axes.text(left + count / 2, row, f"{count:.0f}", ha="center", va="center", fontsize=7.5, color=INK)
        left += count


def _matrix(axes: Axes, types: Int[np.ndarray, "6 6"]) -> None:
    # The root: a few thousand right types would make every mistake white.
    axes.imshow(np.sqrt(types), cmap="Blues", vmin=0, vmax=max(float(np.sqrt(types.max())) * 1.4, 1.0))
    for row in range(6):
        for column in range(6):
            if types[row, column]:
                axes.text(column, row, str(types[row, column]), ha="center", va="center", fontsize=7.5, color=INK)
    names = [t.title for t in LESION_TYPES]
    plain(axes, xlabel="after the vote", ylabel="before", title="types, kept", grid="none")
    axes.set_xticks(range(6), names, rotation=45, ha="right")
    axes.set_yticks(range(6), names)
    axes.spines[["top", "right"]].set_visible(True)
    axes.spines[["top", "right"]].set_color("#b9c0c6")


def _kinds(made: AgreementYield) -> list[tuple[str, int, int, int]]:
    names = {"label_conflict": "diff: other type", "only_high": "diff: only High", "only_low": "diff: only Base"}
    rows = [("same", made.same.findings, made.same.true, made.same.typed)]
    rows += [(names[kind.value], y.findings, y.true, y.typed) for kind, y in made.reasons.items()]
    return rows
