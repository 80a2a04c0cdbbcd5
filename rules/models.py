"""The judges that a rule over groups asks, each with what it has learned of each group (``model``)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from rules import judges
from rules.model import Model

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from numpy.typing import NDArray

    from rules.model import Learn


class Models:
    """Of one rule; each model is made when its group's first frames come.

    ``names``: the columns over frames that the rule's conditions need; who gives none of them is not asked.
    """

    def __init__(self, names: Iterable[str], options: Mapping[str, float], learn: Learn, train_to: int | None) -> None:
        given = (judges.JUDGE_OF.get(name.removesuffix("_normal")) for name in names)
        self._judges = list({id(judge): judge for judge in given if judge is not None}.values())
        self._options = options
        self._learn = learn
        self._train_to = train_to
        self._of: dict[tuple[int, int], Model] = {}
        """By group, and the judge's number in ``JUDGES``."""

    @property
    def wanted(self) -> bool:
        """Whether any judge is asked."""
        return bool(self._judges)

    def ask(
        self,
        group: NDArray[np.int32],
        ts: NDArray[np.int64],
        values: NDArray[np.float64],
        worst: NDArray[np.int32],
        ptr: NDArray[np.int32],
        members: NDArray[np.int32],
    ) -> dict[str, NDArray[np.float64]]:
        """Have each group's judges look at its frames: their columns; ``worst`` takes the members that stand out."""
        columns: dict[str, NDArray[np.float64]] = {}
        for judge in self._judges:
            number = judges.JUDGES.index(judge)
            names = (*judge.outputs, *(f"{name}_normal" for name in judge.outputs))
            made = np.full((len(group), len(names) + 1), np.nan)
            for one in np.unique(group):
                which = np.flatnonzero(group == one)
                size = int(ptr[one + 1] - ptr[one])
                model = self._of.get((int(one), number))
                if model is None:
                    model = self._of[int(one), number] = self._new(number, size)
                out = model.process(ts[which], values[which][:, :size])
                made[which, : len(judge.outputs)] = out[:, :-1]
                made[which, len(judge.outputs) : -1] = model.limit
                stands = ~np.isnan(out[:, -1])
                worst[which[stands]] = members[ptr[one] + out[stands, -1].astype(np.int64)]
            columns.update({name: made[:, k] for k, name in enumerate(names)})
        return columns

    def forget(self, group: int) -> None:
        """The group's turn was found: what was learned of frames that had torn it apart is not what is normal."""
        for key in [key for key, model in self._of.items() if key[0] == group and not model.judging]:
            del self._of[key]

    def arrays(self, prefix: str) -> dict[str, NDArray[Any]]:
        """All state, of whatever shape it has grown to, by ``prefix``, group, judge and members."""
        return {
            f"{prefix}/{group}/{judge}/{model.members}/{name}": array
            for (group, judge), model in self._of.items()
            for name, array in model.arrays.items()
        }

    def load(self, group: int, judge: int, members: int, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Take the state of one judge of one group back.

        Raises:
            ValueError: it does not belong to such a judge.
        """
        if judge >= len(judges.JUDGES):
            raise ValueError("the snapshot was made with other judges of groups")
        model = self._new(judge, members)
        model.load(arrays)
        self._of[group, judge] = model

    def learning(self) -> dict[int, int]:
        """Groups of which a judge has not learned what is normal yet, with the frames that it has seen."""
        return {group: model.seen for (group, _), model in self._of.items() if not model.judging}

    @property
    def nbytes(self) -> int:
        """Memory."""
        return sum(model.nbytes for model in self._of.values())

    def _new(self, judge: int, members: int) -> Model:
        return Model(judges.JUDGES[judge], members, self._options, self._learn, self._train_to)
