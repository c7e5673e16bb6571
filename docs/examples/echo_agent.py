"""The smallest agent: it answers every message with the message. MEMROOS_URL and MEMROOS_API_KEY say where and who."""

import os
import time

from memroos_client import Client, ClientError
from memroos_client.calls import agents, tasks
from memroos_contracts.registry import Heartbeat

with Client(os.environ["MEMROOS_URL"], os.environ["MEMROOS_API_KEY"]) as kernel:
    while True:
        try:
            kernel.run(agents.beat(Heartbeat(status="listening")))
            claimed = kernel.run(tasks.claim(wait_s=10, lease_s=30))
            if claimed is not None:
                kernel.run(tasks.complete(claimed, *claimed.message.parts))
        except ClientError as error:  # what was not finished is offered again when its lease ends
            print(error, flush=True)
            time.sleep(1)
