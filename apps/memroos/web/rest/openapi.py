"""The description of the REST doors, made from the handlers themselves."""

from typing import Any

from litestar import Controller, Litestar, Request, get
from litestar._openapi.plugin import OpenAPIPlugin  # Litestar has no public way to a schema without routes of its own
from litestar.config.app import AppConfig
from litestar.openapi import OpenAPIConfig
from litestar.openapi.spec import Components, SecurityScheme

from memroos import __version__


def describe(app: Litestar) -> dict[str, Any]:
    """Return the OpenAPI 3.1 document of everything that an app serves."""
    config = OpenAPIConfig(
        title="MemRoOS kernel",
        version=__version__,
        description="Errors are RFC 9457 problems; each `type` is a page. Lists go on with `cursor`. "
        "POSTs that create take an `Idempotency-Key`.",
        components=Components(security_schemes={"bearer": SecurityScheme(type="http", scheme="bearer")}),
        security=[{"bearer": []}],
    )
    plugin = OpenAPIPlugin(app)
    plugin.on_app_init(AppConfig(openapi_config=config))
    for route in app.routes:
        plugin.receive_route(route)
    return plugin.provide_openapi_schema()


class OpenApiController(Controller):
    """The description of this API."""

    path = "/api/openapi.json"
    tags = ("description",)

    @get("/", operation_id="getOpenApi", sync_to_thread=True)
    def get_open_api(self, request: Request[Any, Any, Any]) -> dict[str, Any]:
        """Return the OpenAPI 3.1 document of this kernel."""
        return describe(request.app)
