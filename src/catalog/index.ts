/**
 * The catalog: what can be connected, and which actions it has.
 *
 * Invariants
 * - An integration is a manifest, data in one file; adding one changes nothing else.
 * - A manifest that does not hold together stops the start, named by file and place.
 * - Where a credential may go is the manifest's to say, never the caller's.
 */
export { judgeConfig, judgeFields, previewSecret, previewText, type AcceptedFields, type Entered, type FieldsVerdict } from './fields.ts'
export type { Binding, BodyChoice, Parameter, Style } from './binding.ts'
export type { IntegrationAction } from './bound-action.ts'
export { createCompiler } from './custom-api/compile.ts'
export { createCustomApis, type CustomApi, type CustomApis } from './custom-api/custom-apis.ts'
export { createWorkspaceCatalog } from './custom-api/workspace-catalog.ts'
export { fetchDocument } from './custom-api/fetch-document.ts'
export { ImportChoices, ImportEnvelope } from './custom-api/import-request.ts'
export { importDocument, type ImportOptions, type ImportReport } from './custom-api/import-document.ts'
export { ImportError } from './custom-api/import-error.ts'
export { listNames, requireTest, type Integration, type LoadedIntegration } from './integration.ts'
export { isReservedHeader, pathParameters, type PathParameter } from './judge-manifest.ts'
export { isLinked, issuedFields } from './linking.ts'
export { CatalogError, loadCatalog, parseManifest, requireSound, type Catalog } from './load.ts'
export type { Action, AnswerClass, AuthScheme, BodyEncoding, ErrorClass, Field, Injection, Manifest, Place, TestRequest } from './manifest.ts'
export { isPrivate } from './private.ts'
export { decidesHost, endpointIn, fillTemplate, hostMatches, isNarrower, mentionsAny, resolveDestination, templateFields, type Destination } from './servers.ts'
