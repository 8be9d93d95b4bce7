import type { FastifyReply } from 'fastify'
import { Type, type Static } from 'typebox'
import { previewText } from '../../catalog/index.ts'
import type { Connections } from '../../connections/index.ts'
import { wrapSecret } from '../../crypto/wrap.ts'
import { VaultError, type ErrorCode } from '../../errors.ts'
import { GLOBAL_OWNER, type AppOwner, type Environment, type WorkspaceId } from '../../ids.ts'
import { readIfMatch } from '../../revision.ts'
import type { App } from '../app.ts'
import { callerOf } from '../authenticate.ts'
import { DeleteOAuthApp, GlobalAppParams, OAuthApps, PutOAuthApp, WorkspaceAppParams } from '../contract/oauth-app.ts'
import { OptionalIfMatchHeaders, WorkspaceParams } from '../contract/parts.ts'

const tags = ['oauth']
const View = Type.Ref('OAuthApp#')
const PUT_ERRORS: readonly ErrorCode[] = ['integration_unknown', 'environment_mismatch', 'oauth_app_invalid', 'etag_mismatch', 'kek_unavailable', 'overloaded']
const OVERLAP_SECONDS = 86_400

/** OAuth apps: the vault's own, and each workspace's, which win. */
export function oauthAppRoutes (app: App, { connections: { oauthApps } }: { connections: Connections }): void {
  ownerRoutes(app, oauthApps, { base: '/v1/oauth-apps', params: GlobalAppParams, listParams: Type.Object({}), name: '', whose: 'the vault’s own' })
  ownerRoutes(app, oauthApps, { base: '/v1/workspaces/:workspace_id/oauth-apps', params: WorkspaceAppParams, listParams: WorkspaceParams, name: 'Workspace', whose: 'a workspace’s own' })
}

interface Owned {
  readonly base: string
  readonly params: typeof GlobalAppParams | typeof WorkspaceAppParams
  readonly listParams: object
  /** Goes into the operations' ids. */
  readonly name: '' | 'Workspace'
  readonly whose: string
}

interface Params {
  readonly workspace_id?: string
  readonly integration: string
  readonly environment: Environment
}

function ownerRoutes (app: App, apps: Connections['oauthApps'], { base, params, listParams, name, whose }: Owned): void {
  const one = `${base}/:integration/:environment`

  app.get(base, {
    schema: { tags, operationId: `list${name}OAuthApps`, summary: `List ${whose} OAuth apps`, ...name !== '' && { params: listParams }, response: { 200: OAuthApps } },
  }, async (request) => ({ oauth_apps: copy(await apps.list(ownerOf(request.params as Params), callerOf(request).environments)) }))

  app.get(one, {
    schema: { tags, operationId: `get${name}OAuthApp`, summary: `Get ${whose} OAuth app of an integration`, params, response: { 200: View } },
    config: { errors: ['not_found'] },
  }, async (request, reply) => await sendApp(reply, await apps.get(placeOf(request.params as Params, callerOf(request).environments))))

  app.put(one, {
    schema: { tags, operationId: `put${name}OAuthApp`, summary: `Make or change ${whose} OAuth app of an integration`, params, headers: OptionalIfMatchHeaders, body: PutOAuthApp, response: { 200: View, 201: View } },
    config: { errors: [...PUT_ERRORS, 'not_found'] },
  }, async (request, reply) => {
    const caller = callerOf(request)
    const entered = { ...enteredApp(request.body), expected: readIfMatch(request.headers['if-match']) }
    const put = await apps.put(placeOf(request.params, caller.environments), entered, caller)
    return await sendApp(reply.code(put.created ? 201 : 200), put.app)
  })

  app.delete(one, {
    schema: { tags, operationId: `delete${name}OAuthApp`, summary: `Delete ${whose} OAuth app of an integration`, params, headers: OptionalIfMatchHeaders, querystring: DeleteOAuthApp, response: { 204: Type.Null({ description: 'Deleted.' }) } },
    config: { errors: ['not_found', 'oauth_app_in_use', 'etag_mismatch'] },
  }, async (request, reply) => {
    const caller = callerOf(request)
    const removal = { force: request.query.force === true, expected: readIfMatch(request.headers['if-match']) }
    await apps.remove(placeOf(request.params, caller.environments), removal, caller)
    return await reply.code(204).send(null)
  })
}

async function sendApp (reply: FastifyReply, app: Awaited<ReturnType<Connections['oauthApps']['get']>>) {
  return await reply.header('etag', app.etag).send(copy(app))
}

function ownerOf (params: { readonly workspace_id?: string }): AppOwner {
  return params.workspace_id === undefined ? GLOBAL_OWNER : params.workspace_id as WorkspaceId
}

function placeOf (params: Params, visible: readonly Environment[]) {
  if (!visible.includes(params.environment)) throw new VaultError('not_found')
  return { owner: ownerOf(params), integration: params.integration, environment: params.environment }
}

/** An app as it comes in; of its secret, only what may be shown stays text. Throws `oauth_app_invalid`. */
export function enteredApp (body: Static<typeof PutOAuthApp>) {
  const secret = body.client_secret?.trim()
  // RFC 6749, appendix A.2. Anything else would break the token request, or a library's error would quote it.
  if (secret !== undefined && !/^[\x21-\x7e]+$/.test(secret)) {
    throw new VaultError('oauth_app_invalid', { detail: 'The app does not fit.', errors: [{ pointer: '/client_secret', message: 'holds a space, a line break or a character that no client secret has: copy it again' }] })
  }
  if (secret !== undefined && secret === body.client_id.trim()) {
    throw new VaultError('oauth_app_invalid', { detail: 'The app does not fit.', errors: [{ pointer: '/client_secret', message: 'is the client id: copy the secret' }] })
  }
  return {
    clientId: body.client_id.trim(), clientSecret: secret === undefined ? undefined : wrapSecret(secret), preview: secret === undefined ? '' : previewText(secret),
    scopes: body.scopes, overlapSeconds: body.overlap_seconds ?? OVERLAP_SECONDS,
  }
}

/** Serialisers take what is theirs to change. */
function copy<T> (value: T): Mutable<T> {
  return value as Mutable<T>
}
type Mutable<T> = T extends readonly (infer Item)[] ? Mutable<Item>[] : T extends object ? { -readonly [K in keyof T]: Mutable<T[K]> } : T
