"""The fraud stories of the simulator, one file each, in a fixed order; a new one is a file and a line here."""

from training.data.simulator.stories import (
    account_takeover,
    bust_out,
    card_testing,
    impossible_travel,
    merchant_collusion,
    slow_skimming,
    terminal_compromise,
)
from training.data.simulator.stories.base import Scene, Story

STORIES: tuple[Story, ...] = (
    card_testing.STORY,
    account_takeover.STORY,
    terminal_compromise.STORY,
    merchant_collusion.STORY,
    impossible_travel.STORY,
    slow_skimming.STORY,
    bust_out.STORY,
)

__all__ = ["STORIES", "Scene", "Story"]
