"""Plant as many cases of each story as the prevalence asks for."""

from collections.abc import Collection

import numpy as np

from stream.errors import SettingError
from training.data.simulator.calendar import DAY_MS
from training.data.simulator.rows import Rows, concat, make, size, take
from training.data.simulator.stories import STORIES, Scene, Story

_BARREN = 200


def plant(scene: Scene, prevalence_bp: float, stories: Collection[str] | None) -> Rows:
    """Fraudulent rows, their `story` (1-based index into `STORIES`) and `case` set.

    Parameters
    ----------
    scene : Scene
        The honest history in which they are planted.
    prevalence_bp : float
        Fraudulent per 10,000 of all transactions.
    stories : collection of str, optional
        Names of the stories to play; all of them by default. Their shares are scaled to the same prevalence.

    Raises
    ------
    SettingError
        If a story is unknown or the prevalence is not in [0, 5000).
    """
    chosen = _choose(stories)
    if not 0 <= prevalence_bp < 5000:
        raise SettingError(f"--prevalence-bp is {prevalence_bp}: give basis points from 0 up to 5000, for example 80.")
    share = prevalence_bp / 10_000
    wanted = round(size(scene.honest) * share / (1 - share))
    mix = np.array([scene.bank.fraud.mix[story.name] for story in chosen])
    quotas = np.floor(np.cumsum(mix / mix.sum()) * wanted + 0.5).astype(int)
    blocks, case = [make(0)], 0
    for story, quota in zip(chosen, np.diff(quotas, prepend=0), strict=True):
        code = STORIES.index(story) + 1
        for block in _cases(scene, story, int(quota)):
            block["story"][:] = code
            block["case"][:] = case
            blocks.append(block)
            case += 1
    return concat(blocks)


def _choose(stories: Collection[str] | None) -> list[Story]:
    names = [story.name for story in STORIES]
    unknown = sorted(set(stories or ()) - set(names))
    if unknown:
        raise SettingError(f"the story {unknown[0]!r} does not exist: choose from {', '.join(names)}.")
    return [story for story in STORIES if stories is None or story.name in stories]


def _cases(scene: Scene, story: Story, quota: int) -> list[Rows]:
    """Cases with `quota` rows in all; the last one is cut short where it must be."""
    cases: list[Rows] = []
    left, barren = quota, 0
    while left > 0 and barren < _BARREN:
        barren += 1
        for block in story.plant(scene):
            opened = scene.people.cards.opened[block["card"]] * DAY_MS
            inside = (block["time"] >= np.maximum(opened, 0)) & (block["time"] < scene.days * DAY_MS)
            case = take(block, np.flatnonzero(inside)[:left])
            if size(case):
                cases.append(case)
                left -= size(case)
                barren = 0
    return cases
