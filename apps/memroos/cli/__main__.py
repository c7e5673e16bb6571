"""`python -m memroos.cli`: how the supervisor starts processes of this same installation."""

from memroos.cli import main

main()
