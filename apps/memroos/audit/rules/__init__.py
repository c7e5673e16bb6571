"""The ledger's arithmetic: bodies, the tree, and signed notes; nothing here reads or writes anything."""
