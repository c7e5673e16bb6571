"""What was found as a text for a prompt."""

from memroos_contracts import prompts
from memroos_contracts.memory import ContextRequest, ContextResult, RecallResult


def write(result: RecallResult, request: ContextRequest) -> ContextResult:
    """Write down as many hits as fit, the best first; a long one by its passage rather than not at all."""
    text, taken = prompts.write(result.items, budget=request.token_budget, form=request.format)
    return ContextResult(
        text=text,
        tokens=prompts.tokens_of(text),
        token_budget=request.token_budget,
        items=taken,
        left_out=len(result.items) - len(taken),
        arms=result.arms,
        missing=result.missing,
        detail=result.detail,
    )
