"""The gRPC door's tables: a row for every method, a status with details for every error."""

import grpc
import pytest
from a2a.compat.v0_3 import a2a_v0_3_pb2 as pb_0_3
from a2a.types import a2a_pb2 as pb_1_0
from a2a.utils import errors as sdk
from google.rpc import error_details_pb2

from memroos.web import access
from memroos.web.a2a.errors import (
    Facts,
    PermissionDenied,
    ResourceExhausted,
    TaskGenerationMismatchError,
    Unauthenticated,
    Unavailable,
    invalid,
)
from memroos.web.a2a.grpc import OPERATIONS, grpc_status, to_status

TABLE = {
    sdk.TaskNotFoundError: ("NOT_FOUND", "TASK_NOT_FOUND"),
    sdk.TaskNotCancelableError: ("FAILED_PRECONDITION", "TASK_NOT_CANCELABLE"),
    sdk.PushNotificationNotSupportedError: ("FAILED_PRECONDITION", "PUSH_NOTIFICATION_NOT_SUPPORTED"),
    sdk.UnsupportedOperationError: ("FAILED_PRECONDITION", "UNSUPPORTED_OPERATION"),
    sdk.ContentTypeNotSupportedError: ("INVALID_ARGUMENT", "CONTENT_TYPE_NOT_SUPPORTED"),
    sdk.InvalidAgentResponseError: ("INTERNAL", "INVALID_AGENT_RESPONSE"),
    sdk.ExtendedAgentCardNotConfiguredError: ("FAILED_PRECONDITION", "EXTENDED_AGENT_CARD_NOT_CONFIGURED"),
    sdk.ExtensionSupportRequiredError: ("FAILED_PRECONDITION", "EXTENSION_SUPPORT_REQUIRED"),
    sdk.VersionNotSupportedError: ("FAILED_PRECONDITION", "VERSION_NOT_SUPPORTED"),
    TaskGenerationMismatchError: ("ABORTED", "TASK_GENERATION_MISMATCH"),
    sdk.InvalidParamsError: ("INVALID_ARGUMENT", "INVALID_PARAMS"),
    sdk.InvalidRequestError: ("INVALID_ARGUMENT", "INVALID_REQUEST"),
    sdk.InternalError: ("INTERNAL", "INTERNAL_ERROR"),
    Unauthenticated: ("UNAUTHENTICATED", "UNAUTHENTICATED"),
    PermissionDenied: ("PERMISSION_DENIED", "PERMISSION_DENIED"),
    ResourceExhausted: ("RESOURCE_EXHAUSTED", "RESOURCE_EXHAUSTED"),
    Unavailable: ("UNAVAILABLE", "UNAVAILABLE"),
}


def test_every_method_of_both_services_has_a_row_in_the_access_table() -> None:
    methods = {
        f"/{service.full_name}/{method.name}"
        for service in (
            pb_1_0.DESCRIPTOR.services_by_name["A2AService"],
            pb_0_3.DESCRIPTOR.services_by_name["A2AService"],
        )
        for method in service.methods
    }

    assert methods == set(OPERATIONS)
    assert not any(access.row(operation).public for operation in OPERATIONS.values())


@pytest.mark.parametrize("error", TABLE, ids=lambda error: str(error.__name__))
def test_an_error_has_its_code_and_its_reason(error: type[sdk.A2AError]) -> None:
    code, reason = TABLE[error]

    status = to_status(error("Words.", data=Facts({"task": "task_1"})))

    assert grpc_status(error()) is grpc.StatusCode[code]
    assert (status.code, status.message) == (grpc.StatusCode[code].value[0], "Words.")
    info = error_details_pb2.ErrorInfo()
    assert status.details[0].Unpack(info)
    assert (info.reason, info.domain, dict(info.metadata)) == (reason, "a2a-protocol.org", {"task": "task_1"})
    assert len(status.details) == 1


def test_wrong_fields_are_named() -> None:
    status = to_status(invalid("No.", **{"message.parts": "needs one"}))

    wrong = error_details_pb2.BadRequest()
    assert status.details[1].Unpack(wrong)
    assert [(v.field, v.description) for v in wrong.field_violations] == [("message.parts", "needs one")]


def test_an_error_that_nobody_knows_is_an_internal_one() -> None:
    class Odd(sdk.A2AError):
        """One that the table does not have."""

    assert grpc_status(Odd()) is grpc.StatusCode.INTERNAL
