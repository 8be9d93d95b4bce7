import type { FastifyRequest } from 'fastify'
import { Type } from 'typebox'
import { ALL } from '../../access/index.ts'
import type { CustomApi as Api, CustomApis, Manifest } from '../../catalog/index.ts'
import { sha256, type Macs } from '../../crypto/index.ts'
import type { ErrorCode } from '../../errors.ts'
import type { IntegrationId, WorkspaceId } from '../../ids.ts'
import { formatEtag, readIfMatch } from '../../revision.ts'
import type { IntegrationRow } from '../../store/index.ts'
import { compileValidator, type App } from '../app.ts'
import { stepAside } from '../admission/book.ts'
import { callerOf } from '../authenticate.ts'
import { CustomApiActionParams, CustomApiPage, CustomApiParams, ImportBody, ImportPreview, ListCustomApis, RevisionQuery } from '../contract/custom-api.ts'
import { IntegrationAction } from '../contract/integration.ts'
import { IdempotencyHeaders, OptionalIfMatchHeaders, WorkspaceParams } from '../contract/parts.ts'
import { presentAction, presentScheme } from './integrations.ts'
import { pageOf, readCursor } from './paging.ts'

const BASE = '/v1/workspaces/:workspace_id/integrations'
const ONE = `${BASE}/:integration_id`
const tags = ['catalog']
const View = Type.Ref('CustomApi#')
const IMPORT_ERRORS: readonly ErrorCode[] = ['openapi_invalid', 'overloaded', 'body_too_large']

/** A document of 25 MB in base64 of an envelope's text would be larger: such a one is sent as it is. */
const BODY_BYTES = 27 * 1_024 * 1_024

interface Rooms {
  readonly customApis: CustomApis
  readonly macs: Macs
}

/** Integrations that a workspace makes of OpenAPI documents. */
export function customApiRoutes (app: App, { customApis, macs }: Rooms): void {
  app.get(BASE, {
    schema: { tags, operationId: 'listCustomApis', summary: 'List a workspace’s own integrations, newest first', params: WorkspaceParams, querystring: ListCustomApis, response: { 200: CustomApiPage } },
  }, async (request) => {
    const { cursor, limit = 50 } = request.query
    const [before] = cursor === undefined ? [] : readCursor(cursor, ['integration'])
    const rows = await customApis.list(request.params.workspace_id as WorkspaceId, { before: before as IntegrationId | undefined, limit: limit + 1 })
    const { items, next } = pageOf(rows, limit, (row) => [row.id])
    return { integrations: items.map(presentSummary), next_cursor: next }
  })

  app.get(ONE, {
    schema: { tags, operationId: 'getCustomApi', summary: 'Get one, with its actions and what its import had to say', params: CustomApiParams, querystring: RevisionQuery, response: { 200: View } },
    config: { errors: ['not_found', 'revision_unknown'] },
  }, async (request, reply) => {
    const api = await customApis.get(placeOf(request.params), request.query.revision)
    return await reply.header('etag', formatEtag(api.row.revision)).send(present(api))
  })

  app.get(`${ONE}/actions/:action`, {
    schema: { tags, operationId: 'getCustomApiAction', summary: 'Get an action with its input', params: CustomApiActionParams, querystring: RevisionQuery, response: { 200: IntegrationAction } },
    config: { errors: ['not_found', 'revision_unknown'] },
  }, async (request) => {
    const { definition, schema } = await customApis.getAction(placeOf(request.params), { name: request.params.action, revision: request.query.revision })
    return presentAction(definition, schema)
  })

  app.delete(ONE, {
    schema: { tags, operationId: 'deleteCustomApi', summary: 'Delete one that no connection was made with', params: CustomApiParams, headers: OptionalIfMatchHeaders, response: { 204: Type.Null({ description: 'Deleted.' }) } },
    config: { errors: ['not_found', 'etag_mismatch', 'integration_in_use'] },
  }, async (request, reply) => {
    await customApis.remove(placeOf(request.params), readIfMatch(request.headers['if-match']), callerOf(request))
    return await reply.code(204).send(null)
  })

  // A plugin of its own: what is read here need not be JSON, and is not parsed at all.
  app.register(async (scope) => {
    scope.removeAllContentTypeParsers()
    scope.setValidatorCompiler((part) => part.httpPart === 'body' ? () => true : compileValidator(part))
    scope.addContentTypeParser('*', { parseAs: 'buffer', bodyLimit: BODY_BYTES }, (_request, body, done) => { done(null, body) })
    importRoutes(scope, { customApis, macs })
  })
}

/** Those that take a document. */
function importRoutes (app: App, { customApis, macs }: Rooms): void {
  app.post('/v1/openapi/preview', {
    bodyLimit: BODY_BYTES,
    schema: { tags, operationId: 'previewOpenapi', summary: 'See what would be made of an OpenAPI document', description: 'Nothing is kept.', body: ImportBody, response: { 200: ImportPreview } },
    config: { errors: IMPORT_ERRORS },
  }, async (request, reply) => {
    stepAside(request)
    // Written by another thread: it goes out as it is.
    const report = await customApis.preview(uploadOf(request), partyOf(request))
    return await reply.header('content-type', 'application/json; charset=utf-8').send(Buffer.from(report.buffer, report.byteOffset, report.byteLength) as never)
  })

  app.post(BASE, {
    bodyLimit: BODY_BYTES,
    schema: { tags, operationId: 'createCustomApi', summary: 'Make an integration of an OpenAPI document', params: WorkspaceParams, headers: IdempotencyHeaders, body: ImportBody, response: { 201: View } },
    config: { errors: [...IMPORT_ERRORS, 'idempotency_conflict', 'integration_limit'] },
  }, async (request, reply) => {
    const workspaceId = request.params.workspace_id as WorkspaceId
    const key = request.headers['idempotency-key']
    const upload = uploadOf(request)
    // Before the bytes are given away.
    const digest = key === undefined ? undefined : sha256(Buffer.concat([Buffer.from(`${upload.contentType}\n`), upload.body]))
    const idempotency = key === undefined || digest === undefined ? undefined : { keyHash: sha256(key), fingerprint: await macs.fingerprint(digest.toString('hex')) }
    stepAside(request)
    const { api, replayed } = await customApis.create(workspaceId, { upload, idempotency }, callerOf(request))
    if (replayed) reply.header('idempotent-replayed', 'true')
    return await reply.code(201).headers({ location: `${BASE.replace(':workspace_id', workspaceId)}/${api.row.id}`, etag: formatEtag(api.row.revision) }).send(present(api))
  })

  app.put(ONE, {
    bodyLimit: BODY_BYTES,
    schema: {
      tags, operationId: 'reviseCustomApi', summary: 'Make a new revision of another document',
      description: 'Calls that name a revision stay with it; connections keep the authentication and the hosts they were made with. The same document and choices make nothing new.',
      params: CustomApiParams, headers: OptionalIfMatchHeaders, body: ImportBody, response: { 200: View },
    },
    config: { errors: [...IMPORT_ERRORS, 'not_found', 'etag_mismatch', 'integration_limit'] },
  }, async (request, reply) => {
    stepAside(request)
    const api = await customApis.revise(placeOf(request.params), { upload: uploadOf(request), expected: readIfMatch(request.headers['if-match']) }, callerOf(request))
    return await reply.header('etag', formatEtag(api.row.revision)).send(present(api))
  })
}

function uploadOf (request: FastifyRequest) {
  const { body } = request
  return { body: Buffer.isBuffer(body) ? body : Buffer.alloc(0), contentType: request.headers['content-type'] ?? '' }
}

/** A preview is of no workspace: that of a token which has only one, so that it gains nothing by it, or else the token's own. */
function partyOf ({ principal }: FastifyRequest): string {
  const [workspace, ...others] = principal?.workspaces ?? []
  return workspace === undefined || workspace === ALL || others.length > 0 ? principal?.id ?? '' : workspace
}

function placeOf (params: { workspace_id: string, integration_id: string }) {
  return { workspaceId: params.workspace_id as WorkspaceId, id: params.integration_id as IntegrationId }
}

function presentSummary (row: IntegrationRow) {
  const { name, docs = null, environments, separation, auth } = row.head as Manifest
  return {
    id: row.id, workspace_id: row.workspace_id, name, docs, environments, separation, auth: auth.map(presentScheme), revision: row.shown,
    newest_revision: row.revision,
    source: { title: row.title, version: row.version, sha256: row.sha256, url: row.source_url }, action_count: row.actions,
    created_by: row.created_by, created_at: row.created_at.toISOString(),
    updated_by: row.updated_by, updated_at: row.updated_at.toISOString(), etag: formatEtag(row.revision),
  }
}

function present ({ row, actions, report, diff, revisions }: Api) {
  return {
    ...presentSummary(row),
    actions: actions.map(({ name, title, effect, method, path }) => ({ name, title, effect, method, path })),
    operations: report.operations, skipped: [...report.skipped], servers: [...report.servers], warnings: [...report.warnings],
    diff: diff ?? null,
    revisions: revisions.map((revision) => ({
      revision: revision.revision, sha256: revision.sha256, action_count: revision.actions, created_by: revision.created_by,
      created_at: revision.created_at.toISOString(),
      changes: countChanges(revision.diff as Api['diff'] | null),
    })),
  }
}

function countChanges (diff: Api['diff'] | null) {
  if (diff === undefined || diff === null) return null
  return { added: diff.added.length, changed: diff.changed.length, breaking: diff.breaking.length, removed: diff.removed.length }
}
