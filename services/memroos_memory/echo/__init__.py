"""What was handed out to whom, so that it is not learned from them again."""
