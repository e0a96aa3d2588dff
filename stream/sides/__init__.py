"""The logs beside the source: profiles that workers tell each other, feedback, and events of customers' accounts."""
