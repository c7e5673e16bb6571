from memroos_contracts.governance import Action, Asset, Effect
from memroos_kit.db import Database, Tx
from memroos_memory.actor import SERVICE


def test_what_the_kernel_has_decided_is_not_decided_again(db: Database) -> None:
    asset = Asset("memory", "mem_1")

    def verb(tx: Tx) -> tuple[Effect, bool]:
        return tx.authorize(Action.MEMORY_READ, asset, holdable=True).effect, tx.permits(Action.MEMORY_WRITE, asset)

    assert db.write_now(SERVICE, verb) == (Effect.ALLOW, True)
