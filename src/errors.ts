/**
 * Every error the vault answers, in one table. `http/problem.ts` turns a row into an RFC 9457
 * document; `docs/errors.md` and the responses in `openapi.yaml` are generated from it.
 */
const TABLE = {
  request_invalid: [400, 'The request is malformed', false, 'A header, path or query parameter or a property of the body is missing, unknown or of the wrong type. `errors[]` points at each.'],
  body_not_json: [400, 'The body is not JSON', false, 'The body must be valid UTF-8 and valid JSON (RFC 8259), without a name twice in one object, a name that objects have of their own (`__proto__`), a number that a double can’t hold, NUL or half a surrogate pair.'],
  body_too_complex: [400, 'The body is too complex', false, 'The JSON is nested deeper, or has more keys, than the vault reads.'],
  body_too_large: [413, 'The body is too large', false, 'Send less: the limit is in `detail`.'],
  headers_too_large: [431, 'The headers are too large', false, 'All headers together may have 16 KiB.'],
  request_timeout: [408, 'The request took too long to arrive', true, 'A request has to be there, with its body, within 30 seconds.'],
  media_type_unsupported: [415, 'The media type is not supported', false, 'Send `Content-Type: application/json`.'],
  unauthenticated: [401, 'No valid token', false, 'Send `Authorization: Bearer <service token>`. The token is missing, unknown, expired or revoked.'],
  insufficient_scope: [403, 'The token lacks a scope', false, 'Use a token that has the scope, or is for the environments, named in `detail`.'],
  not_found: [404, 'Not found', false, 'No such object, or this token may not see it: the two are not told apart.'],
  route_not_found: [404, 'No such route', false, 'Check the method, the path and the listener: each route lives on one listener only.'],
  integration_unknown: [422, 'Unknown integration', false, 'List what can be connected with `GET /v1/integrations`.'],
  auth_unknown: [422, 'Unknown auth scheme', false, 'The integration does not offer this way to authenticate; `detail` lists those it has.'],
  auth_not_pasted: [422, 'This credential is not pasted', false, 'The authentication scheme is OAuth: the account is linked in a browser. `detail` names the schemes that are pasted, if there are any.'],
  action_unknown: [404, 'Unknown action', false, 'The integration has no such action; read `GET /v1/integrations/{id}`.'],
  credential_invalid: [422, 'The credential does not fit', false, 'A credential field is missing, unknown, malformed or belongs to the other environment. `errors[]` names the field, never its value.'],
  credential_refused: [422, 'The provider refused the credential', false, 'The test request was answered as unauthorised; nothing was changed.'],
  config_invalid: [422, 'The configuration does not fit', false, 'A config field is missing, unknown or malformed, or decides the host and needs the credential again: use rotate.'],
  hosts_invalid: [422, 'The hosts do not fit', false, '`allowed_hosts` may only narrow the hosts the credential was sealed for. To widen them, rotate with the credential.'],
  actions_invalid: [422, 'The actions do not fit', false, '`allowed_actions` may only name actions of the integration.'],
  input_invalid: [422, 'The input does not fit the action', false, '`errors[]` points at each place that does not fit the action’s schema.'],
  test_unavailable: [409, 'This credential can’t be tested', false, 'The integration names no request that would do no more than show whether a credential is accepted. Run an action that reads.'],
  openapi_invalid: [422, 'The OpenAPI document can’t be imported', false, '`errors[]` points into the document and says what is wrong there. Correct it, or state what it does not say: `servers`, `auth`, `select`.'],
  integration_in_use: [409, 'The integration is in use', false, 'Connections were made with it: `connections` lists them. Delete them first.'],
  integration_limit: [409, 'Too many integrations', false, 'A workspace has at most 200 integrations of its own, each at most 500 revisions, and all of those hold at most as many bytes as the operator’s `CUSTOM_API_BYTES_PER_WORKSPACE` says. Delete what no connection was made with.'],
  revision_unknown: [422, 'Unknown revision', false, 'The integration has no such revision; only Custom APIs have any. `detail` says which there are.'],
  name_taken: [409, 'The name is taken', false, 'Names are unique in a workspace and environment, without regard to case.'],
  etag_mismatch: [412, 'It has changed meanwhile', false, 'Read it again and repeat the change with the new ETag.'],
  etag_required: [428, 'If-Match is required', false, 'Send the ETag of the version you have edited as `If-Match`.'],
  idempotency_conflict: [409, 'The idempotency key was used for another request', false, 'Use a new key for a new request.'],
  invocation_running: [409, 'The invocation is still under way', true, 'Another request with the same idempotency key is running. Repeat with the same key: its result is replayed once it has ended.'],
  connection_in_use: [409, 'The connection is in use', false, 'Procedures refer to it or used it lately: `in_use` lists them. Delete with `force=true` all the same.'],
  refresh_failed: [503, 'The token could not be renewed', true, 'The provider’s token endpoint can’t be reached or does not answer as it should, and the access token has ended. Repeat after `Retry-After`.'],
  refresh_unavailable: [409, 'Nothing to renew', false, 'The credential was pasted and is no token that the vault could renew: rotate the connection. Or it was linked, and the provider gave no refresh token: link it again. `detail` says which.'],
  oauth_app_invalid: [422, 'The OAuth app does not fit', false, '`errors[]` names what is wrong with the client id, the secret or the scopes, never a value.'],
  oauth_app_in_use: [409, 'The OAuth app is in use', false, 'Connections were linked through it. Delete with `force=true` all the same: they last as long as their access tokens.'],
  oauth_app_missing: [409, 'No OAuth app', false, 'Nobody has registered an OAuth app for this integration and environment: an operator puts one with `PUT /v1/oauth-apps/{integration}/{environment}`.'],
  oauth_app_broken: [502, 'The OAuth app is refused', false, 'The provider refuses the app’s client id or secret. Users can do nothing about it; an operator corrects the app.'],
  return_url_invalid: [422, 'The return URL is not allowed', false, 'Its origin is not among `RETURN_ORIGINS`, or it is no plain URL.'],
  connect_session_ended: [409, 'The connect session has ended', false, '`detail` says how. Start another one.'],
  connect_session_unconfirmed: [409, 'Nothing to confirm yet', false, 'The person has not linked an account in this session.'],
  completion_refused: [403, 'The link is not confirmed', false, 'The completion code is wrong, or another person finished the link than started it. What was linked has been destroyed, and is being revoked at the provider. Start another session.'],
  account_mismatch: [409, 'Another account was linked', false, 'A reconnect has to reach the same upstream account, unless the session allows a change.'],
  agent_unauthenticated: [401, 'No agent', false, 'The agent’s token is missing, wrong or expired, or its signature does not fit. Ask for a challenge and a new token.'],
  agent_revoked: [403, 'The agent is revoked', false, 'Somebody has taken this agent out of its group. It has to be enrolled anew.'],
  agent_outdated: [426, 'The agent is outdated', false, 'This vault speaks another version of the protocol: `detail` says which. Upgrade the agent.'],
  enrolment_refused: [403, 'The enrolment code is refused', false, 'It is unknown, has been used, or is older than 15 minutes. Make another one.'],
  agent_group_in_use: [409, 'The group is in use', false, 'It has agents that are not revoked, or connections that go through it, which `agents` and `connections` list. Revoke the agents, delete the connections.'],
  agent_offline: [503, 'No agent is at hand', true, 'No agent of the group that runs this action has been heard of for 90 seconds, or none took the call in time. Nothing was run. With `queue_seconds` a call waits.'],
  lease_lost: [409, 'The lease is lost', false, 'For agents: the offer or the lease has passed on, or the call has ended. Whatever was run for it is not counted.'],
  result_too_large: [413, 'The result is too large', false, 'For agents: a result has at most 32 MiB, 200 levels, 100,000 objects and arrays, 500,000 members and a million elements, a piece of one at most 1 MiB. Report a failure instead.'],
  private_connection: [409, 'The connection is private', false, 'Its credential is with the customer’s agents and never here: run its actions with invoke.'],
  invocation_cancelled: [409, 'The call was cancelled', false, 'Somebody cancelled it before an agent had taken it. Nothing was run.'],
  mode_unsupported: [422, 'This connection takes no such call', false, '`mode: async`, `queue_seconds` and `encrypted_input` are for private connections.'],
  webhook_invalid: [422, 'The webhook does not fit', false, '`errors[]` points at what is wrong with the endpoint: it has to be a public https URL, unless the operator has listed it in `EGRESS_ALLOW_WEBHOOK`.'],
  webhook_limit: [409, 'Too many webhooks', false, 'Delete one that is no longer needed.'],
  events_cleared: [410, 'Events after this cursor are gone', false, 'They were kept for 30 days. Read the state of the connections anew, then the feed without a cursor.'],
  connection_disabled: [409, 'The connection is disabled', false, 'Enable it first.'],
  connection_pending: [409, 'The connection is not finished', false, 'Its owner has not finished linking it.'],
  connection_needs_reauth: [409, 'The connection needs a new credential', false, 'The provider refuses the stored credential, or no longer renews it. Rotate what was pasted; link again what was linked. `detail` says which.'],
  environment_mismatch: [409, 'Sandbox and live do not mix', false, 'The run’s environment is not the connection’s. Use a connection of the same environment.'],
  rollback_unavailable: [409, 'Nothing to roll back to', false, 'The previous version is past its grace period, destroyed, or never existed.'],
  action_not_allowed: [403, 'The connection does not allow this action', false, 'The action is not in the connection’s `allowed_actions`.'],
  egress_blocked: [403, 'The destination is not allowed', false, 'The host is not one of the connection’s, or it resolves to an address the vault never calls.'],
  upstream_timeout: [504, 'The provider did not answer in time', true, 'The deadline passed. The action was read-only or idempotent: it may be repeated.'],
  upstream_unreachable: [502, 'The provider could not be reached', true, 'Name resolution, connection or TLS failed, or a call that may be made twice broke off: nothing was changed at the provider, or only what making it again changes as well.'],
  outcome_unknown: [502, 'The call may or may not have happened', false, 'The action changes something and its answer was lost after the request was sent. Check at the provider before you repeat it.'],
  response_too_large: [502, 'The provider’s answer is too large', false, 'The request was carried out, its answer exceeds the limit in `detail`. Ask for less, for example with a smaller page.'],
  concurrency_limited: [429, 'Too many calls at a time', true, 'The connection, or its provider’s host, has as many calls under way and waiting as it may have. Nothing was sent. Repeat after `Retry-After`.'],
  rate_limited: [429, 'Too many requests', true, 'Wait as long as `Retry-After` says.'],
  overloaded: [503, 'The vault is overloaded', true, 'A bounded queue is full. Repeat after `Retry-After`.'],
  shutting_down: [503, 'The vault is shutting down', true, 'Repeat: another replica answers.'],
  database_unavailable: [503, 'The database is unavailable', true, 'Nothing was handed out or changed. Repeat after `Retry-After`.'],
  key_in_use: [409, 'The key is still needed', false, 'Rows are sealed under it, or it wraps other keys, or new ones are to be wrapped by it. Rotate and sweep first.'],
  rotation_running: [409, 'Keys are being replaced already', true, 'Repeat when the rotation under way is over.'],
  kek_unavailable: [503, 'The key provider is unavailable', true, 'Key encryption keys can’t be reached, so sealed data stays sealed. Repeat after `Retry-After`.'],
  issuer_unavailable: [503, 'The token issuer is unavailable', true, 'The issuer’s keys can’t be fetched, so its tokens can’t be checked. Repeat after `Retry-After`.'],
  integrity_failure: [500, 'Stored data failed its integrity check', false, 'A sealed value does not belong where it was found. It stays sealed, the event is on record; call the operator.'],
  internal: [500, 'Internal error', false, 'A defect in the vault. The request id leads the operator to the log line.'],
} as const satisfies Record<string, readonly [status: number, title: string, retryable: boolean, meaning: string]>

export type ErrorCode = keyof typeof TABLE

export interface ErrorKind {
  readonly status: number
  readonly title: string
  /** Whether the same request may succeed later without any change. */
  readonly retryable: boolean
  /** What the caller can do about it. */
  readonly meaning: string
}

export const ERRORS: Readonly<Record<ErrorCode, ErrorKind>> = Object.freeze(Object.fromEntries(
  Object.entries(TABLE).map(([code, [status, title, retryable, meaning]]) =>
    [code, { status, title, retryable, meaning }]),
) as Record<ErrorCode, ErrorKind>)

/** One place in the caller's request that is wrong. Never holds the value itself. */
export interface FieldError {
  /** JSON pointer (RFC 6901) into the request, or a header's or parameter's name. */
  readonly pointer: string
  readonly message: string
}

export interface ErrorDetails {
  /** Shown to the caller: no value of a secret, nothing of another tenant. */
  readonly detail?: string
  readonly errors?: readonly FieldError[]
  /** Further members of the problem document, public as well. */
  readonly meta?: Readonly<Record<string, unknown>>
  /** Whole seconds for the `Retry-After` header. */
  readonly retryAfterSeconds?: number
  /** For the log only, and there by its name, code and stack alone. */
  readonly cause?: unknown
}

/** The only error class of the vault: a row of the table and what is to be said about this case. */
export class VaultError extends Error {
  readonly code: ErrorCode
  readonly details: ErrorDetails

  constructor (code: ErrorCode, details: ErrorDetails = {}) {
    super(details.detail ?? ERRORS[code].title, { cause: details.cause })
    this.name = 'VaultError'
    this.code = code
    this.details = details
  }
}

/** Classes of answers that a provider gives before it has done anything: once what is wrong is mended, the same idempotency key is to work. */
export const TURNED_AWAY: readonly string[] = ['reauthorise', 'permission', 'step_up', 'rate_limited', 'config_error']

/** Narrows an unknown throw to one of ours, optionally of one code. */
export function isVaultError (error: unknown, code?: ErrorCode): error is VaultError {
  return error instanceof VaultError && (code === undefined || error.code === code)
}
