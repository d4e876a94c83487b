"""Has a model answer: which one, when, for how long, at what cost, and what is done when it cannot."""
