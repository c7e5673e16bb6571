"""How alembic runs the kernel's migrations: on the connection it is given, with foreign keys off and checked after."""

from alembic import context

from memroos.audit import models as _audit  # noqa: F401 - imported so that its tables are known, like the following
from memroos.broker import models as _broker  # noqa: F401
from memroos.bus import models as _bus  # noqa: F401
from memroos.events import models as _events  # noqa: F401
from memroos.governance import models as _governance  # noqa: F401
from memroos.memory import models as _memory  # noqa: F401
from memroos.push import models as _push  # noqa: F401
from memroos.registry import models as _registry  # noqa: F401
from memroos_kit.db import Base
from memroos_kit.db import once as _once  # noqa: F401
from memroos_kit.db.migrate import run

run(context, Base.metadata)
