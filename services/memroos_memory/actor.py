"""Who acts in the service's own database: the service itself, for everybody. The kernel has decided before."""

from memroos_contracts.identity import service_actor

SERVICE = service_actor("memory")
