"""Text as words: analysis, passages, and how well a text answers a question."""
