"""How alembic runs the memory service's migrations: on the connection it is given."""

from alembic import context

from memroos_kit.db.migrate import run
from memroos_memory.models import Base

run(context, Base.metadata)
