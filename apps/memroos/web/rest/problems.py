"""The pages that error bodies point to."""

from litestar import Controller, MediaType, get
from litestar.params import FromPath

from memroos_contracts.errors import NotFound
from memroos_kit import problems


class ProblemController(Controller):
    """What each kind of problem means and what to do about it."""

    path = "/problems"
    tags = ("problems",)

    @get("/{slug:str}", operation_id="getProblem", media_type=MediaType.TEXT, sync_to_thread=False)
    def get_problem(self, slug: FromPath[str]) -> str:
        """Explain a kind of problem, in Markdown."""
        found = next((error for error in problems.every_error() if error.slug() == slug), None)
        if found is None:
            raise NotFound(f"There is no problem called {slug}.", kind_of_object="problem", id=slug)
        return problems.render_section(found)
