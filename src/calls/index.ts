/**
 * One HTTP call to a provider: build, inject, send, shape, redact.
 *
 * Invariants
 * - A credential is put into a request last, by one function, only where its scheme's injections name.
 * - Input never reaches the host of a URL or an auth header.
 * - Nothing that comes back holds the credential.
 */
export { buildRawRequest, buildRequest, buildTestRequest, type RawRequest } from './build-request.ts'
export type { BuildOptions, BuiltRequest } from './built-request.ts'
export { createCalls, describeRequest, isHostAllowed, type CallCredential, type CallResult, type Calls, type DescribedRequest } from './call.ts'
export { describeAuth, injectAuth, type AuthFields, type InjectedAuth } from './inject-auth.ts'
export type { ShapedResponse } from './shape-response.ts'
