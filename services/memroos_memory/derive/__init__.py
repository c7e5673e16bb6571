"""What can be learned from a text: facts, entities, dates; by rules, or by a model."""
