"""Every refusal the stand-in can give, in one place: status, code and wording.

A client tells Intercom's refusals apart by code and, for 409, by wording alone, so the texts here are data that tests
rely on. Each has its source: an operationId of Intercom's published description 2.16, a page of its documentation, or
"decided here" where neither says anything.
"""

from __future__ import annotations

from collections.abc import Mapping


class ApiError(Exception):
    """A refusal on its way to the caller.

    status: HTTP status.  code, message: as in `error.list`.  headers: extra response headers.
    """

    def __init__(self, status: int, code: str, message: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(f"{status} {code}: {message}")
        self.status = status
        self.code = code
        self.message = message
        self.headers: Mapping[str, str] = headers or {}


def unauthorized() -> ApiError:
    """Every operation's 401 in the description."""
    return ApiError(401, "unauthorized", "Access Token Invalid")


def version_invalid() -> ApiError:
    """The 400 of listConversationAttributes: the resource exists, but not in the version asked for."""
    return ApiError(400, "intercom_version_invalid", "Requested resource is not available in current API version.")


def rate_limited(limit: int, window: float) -> ApiError:
    """developers.intercom.com/docs/references/rest-api/errors/rate-limiting; `window` in seconds."""
    return ApiError(429, "rate_limit_exceeded", f"Exceeded rate limit of {limit} in {window:g}_seconds")


def user_not_found() -> ApiError:
    """ShowContact and every resource below a contact (listNotes, attachTagToContact)."""
    return ApiError(404, "not_found", "User Not Found")


def contact_not_found() -> ApiError:
    """The 404 of a PUT: developers.intercom.com/docs/references/2.3/rest-api/contacts/update-contact."""
    return ApiError(404, "not_found", "Contact Not Found")


def contact_merged(canonical: str) -> ApiError:
    """ShowContact's 410; the Link header names the contact that survived."""
    link = {"Link": f'</contacts/{canonical}>; rel="canonical"'}
    message = "This contact has been merged. See the 'Link' header for the canonical contact."
    return ApiError(410, "contact_merged", message, link)


def live_twin(contact_id: str) -> ApiError:
    """409 for a live duplicate: developers.intercom.com/docs/references/2.3/rest-api/contacts/create-contact."""
    return ApiError(409, "conflict", f"A contact matching those details already exists with id={contact_id}")


def archived_twin(contact_id: str) -> ApiError:
    """409 for an archived duplicate: pull request 543 of the description's repository. The only route to such an id."""
    return ApiError(409, "conflict", f"An archived contact matching those details already exists with id={contact_id}")


def blocked() -> ApiError:
    """developers.intercom.com/docs/references/rest-api/errors/error-codes; match on the code, the text varies."""
    return ApiError(400, "not_restorable", "This user was blocked and cannot be recreated")


def merged_not_restorable() -> ApiError:
    """An unarchive of a merged contact (forum.intercom.com, 0D55c000068M23kCAC)."""
    return ApiError(400, "bad_request", "User has been merged and is not restorable.")


def deletion_pending() -> ApiError:
    """An unarchive after DELETE, while the deletion waits; the tail of the wording is attested, its head decided
    here.
    """
    return ApiError(400, "bad_request", "User has been marked for permanent deletion and is not restorable")


def no_demotion() -> ApiError:
    """developers.intercom.com/docs/references/2.3/rest-api/contacts/update-contact."""
    return ApiError(400, "client_error", "Contact with user role can't be converted to a lead")


def bad_cursor() -> ApiError:
    """developers.intercom.com/docs/references/2.4/rest-api/contacts/list-contacts."""
    message = "Invalid starting_after param. Please try again using a starting_after value from a paginated response"
    return ApiError(400, "client_error", message)


def not_duplicates() -> ApiError:
    """MergeContact's 400."""
    message = (
        "Contacts can only be merged when they are duplicates (matching email or phone). "
        "Pass skip_duplicate_validation=true to override this check."
    )
    return ApiError(400, "invalid_merge", message)


def invalid_sort_order(order: object) -> ApiError:
    """SearchContacts's 400, new in 2.16."""
    return ApiError(400, "invalid_sort_order", f"Invalid sort order '{order}'. Must be one of: ascending, descending")


def invalid(message: str) -> ApiError:
    """400 `parameter_invalid`, the code of nearly every refused value."""
    return ApiError(400, "parameter_invalid", message)


def missing(name: str) -> ApiError:
    """400 for a required parameter; the code is in Intercom's list of error codes, the wording is decided here."""
    return ApiError(400, "parameter_not_found", f"{name} is required")


def unprocessable(code: str, message: str) -> ApiError:
    """A 422 of the operations in bulk (BulkUpdateContacts, in the description of Preview)."""
    return ApiError(422, code, message)


def resource_not_found() -> ApiError:
    """The 404 of findTag and attachTagToContact; also, decided here, of a path nobody serves."""
    return ApiError(404, "not_found", "Resource Not Found")


def conversation_not_found() -> ApiError:
    """The 404 of attachTagToConversation."""
    return ApiError(404, "not_found", "Conversation not found")


def tag_not_found() -> ApiError:
    """The 404 of detachTagFromConversation."""
    return ApiError(404, "tag_not_found", "Tag not found")


def admin_not_found() -> ApiError:
    """Decided here: no stored source shows what an unknown admin_id gets."""
    return ApiError(404, "admin_not_found", "Admin not found")


def method_not_allowed() -> ApiError:
    """Decided here."""
    return ApiError(405, "method_not_allowed", "Method Not Allowed")


def too_large(limit: int) -> ApiError:
    """Decided here; `limit` in bytes."""
    return ApiError(413, "payload_too_large", f"The request body is larger than {limit} bytes")


def server_error() -> ApiError:
    """An injected 500; the wording is decided here."""
    return ApiError(500, "server_error", "Something went wrong on our side")
