"""A simulated bank: customers with habits, frauds with a story, honest look-alikes, a noisy feed and late labels.

>>> from training.data.simulator import generate
>>> history = generate(bank_seed=1, seed=7, cards=3000, days=120, prevalence_bp=80)
>>> history.table(), history.truth, history.labels
>>> Encoder(history).values(np.arange(10))  # JSON messages, in order of event time
"""

from training.data.simulator.bank import STORY_NAMES, Bank, draw_bank
from training.data.simulator.encode import Encoder
from training.data.simulator.generate import generate
from training.data.simulator.history import FIELDS, History

__all__ = ["FIELDS", "STORY_NAMES", "Bank", "Encoder", "History", "draw_bank", "generate"]
