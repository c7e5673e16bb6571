"""The lexical index: words of each scope, where they stand, and how much they tell."""
