import { isVaultError, VaultError } from '../../errors.ts'
import { newId, type Environment, type IntegrationId, type WorkspaceId } from '../../ids.ts'
import type { Egress } from '../../egress/index.ts'
import type { AuditEventName, AuditRecord, Ledger } from '../../ledger/index.ts'
import { requireRevision, type Expected } from '../../revision.ts'
import {
  claimIdempotencyKey, deleteIntegration, findAction, findIntegration, getImport, guard, insertIntegration, insertRevision,
  listActionSummaries,
  listConnectionsOf, listIntegrations, listRevisions, lockIntegration, measureIntegrations, readPacked,
  type ActionSummaryRow, type Database, type Idempotency,
  type IntegrationPage, type IntegrationPlace, type IntegrationRow, type NewRevision, type RevisionRow, type Tx,
} from '../../store/index.ts'
import { createBoundAction, type IntegrationAction } from '../bound-action.ts'
import type { Action, Manifest } from '../manifest.ts'
import { openapiInvalid, type Compiled, type CompileJob, type Compiler } from './compile.ts'
import type { RevisionDiff } from './diff.ts'
import { fetchDocument } from './fetch-document.ts'
import { ImportError } from './import-error.ts'
import type { ImportReport } from './import-document.ts'
import type { ImportChoices } from './import-request.ts'

/** A request's body as it came: a document, or where one is, and what is to be made of it. */
export interface Upload {
  readonly body: Uint8Array
  readonly contentType: string
}

/** Who asks; the room above knows it as a caller. */
export interface Importer {
  readonly principal: AuditRecord['principal']
  readonly by: string
  readonly requestId: string | undefined
  readonly environments: readonly Environment[]
}

/** All there is to say of an integration at one revision. */
export interface CustomApi {
  readonly row: IntegrationRow
  readonly manifest: Manifest
  readonly actions: readonly ActionSummaryRow[]
  readonly revisions: readonly RevisionRow[]
  readonly report: Pick<ImportReport, 'operations' | 'skipped' | 'servers' | 'warnings'>
  readonly choices: ImportChoices
  /** Against the revision before; undefined for the first. */
  readonly diff: RevisionDiff | undefined
}

export interface Creation {
  readonly upload: Upload
  readonly idempotency: Idempotency | undefined
}

export interface Revising {
  readonly upload: Upload
  /** The revision that it was made from; any when left out. */
  readonly expected: Expected
}

/** Integrations that workspaces make of OpenAPI documents. All throw `openapi_invalid`, `request_invalid` and `overloaded` where they read one. */
export interface CustomApis {
  /** What would be made of a document, as JSON; nothing is kept. It takes turns as one of the party's. */
  preview (upload: Upload, party: string): Promise<Uint8Array>
  /** Throws `idempotency_conflict`, `integration_limit`. */
  create (workspaceId: WorkspaceId, creation: Creation, importer: Importer): Promise<{ api: CustomApi, replayed: boolean }>
  /** Makes a new revision, unless the document and the choices are those of the newest. Throws `not_found`, `etag_mismatch`, `insufficient_scope`, `integration_limit`. */
  revise (of: IntegrationPlace, revising: Revising, importer: Importer): Promise<CustomApi>
  /** Throws `not_found`, `revision_unknown`. */
  get (of: IntegrationPlace, revision?: number): Promise<CustomApi>
  /** An action as it is shown, with all of its input. Throws `not_found`, `revision_unknown`. */
  getAction (of: IntegrationPlace, action: { name: string, revision: number | undefined }): Promise<IntegrationAction>
  /** Newest first. */
  list (workspaceId: WorkspaceId, page: IntegrationPage): Promise<IntegrationRow[]>
  /** Throws `not_found`, `etag_mismatch`, `insufficient_scope`, `integration_in_use` with the connections. */
  remove (of: IntegrationPlace, expected: Expected, importer: Importer): Promise<void>
}

interface Options {
  readonly database: Pick<Database, 'db' | 'transaction'>
  readonly compiler: Compiler
  readonly egress: Pick<Egress, 'send'>
  readonly ledger: Pick<Ledger, 'recordIn'>
  readonly reach: { readonly open: ReadonlySet<string>, readonly closed: ReadonlySet<string> }
  /** Bytes of JSON that all revisions of a workspace may hold. */
  readonly bytesMax: number
}

type Made = Compiled & Required<Pick<Compiled, 'head' | 'actions' | 'schemas'>>

const LISTED_MAX = 20
const INTEGRATIONS_MAX = 200
const REVISIONS_MAX = 500

export function createCustomApis (options: Options): CustomApis {
  const compile = createReader(options)
  const readings = createReadings(options)
  return Object.freeze({
    preview: async (upload: Upload, party: string) => (await compile(upload, { party, id: newId('integration') })).compiled.report,
    ...readings,
    ...createChanges(options, { compile, get: readings.get }),
  })
}

function createReadings ({ database }: Options): Pick<CustomApis, 'get' | 'getAction' | 'list'> {
  const require = async (of: IntegrationPlace, revision: number | undefined): Promise<IntegrationRow> => {
    const row = await guard(() => findIntegration(database.db, of, revision))
    if (row !== undefined) return row
    const newest = await guard(() => findIntegration(database.db, of))
    if (newest === undefined) throw new VaultError('not_found')
    throw new VaultError('revision_unknown', { detail: `There is no revision ${revision ?? 0}; there are 1 to ${newest.revision}.` })
  }
  return {
    get: async (of: IntegrationPlace, revision?: number) => {
      const row = await require(of, revision)
      const place = { ...of, revision: row.shown }
      const [actions, revisions, kept] = await guard(() => Promise.all([
        listActionSummaries(database.db, place), listRevisions(database.db, of), getImport(database.db, place),
      ]))
      return {
        row, manifest: row.head as Manifest, actions, revisions, report: kept.report as CustomApi['report'], choices: kept.options,
        diff: (kept.diff ?? undefined) as RevisionDiff | undefined,
      }
    },
    getAction: async (of: IntegrationPlace, { name, revision }: { name: string, revision: number | undefined }) => {
      const row = await require(of, revision)
      const action = await guard(() => findAction(database.db, { ...of, revision: row.shown }, { name, whole: true }))
      if (action === undefined) throw new VaultError('not_found')
      return createBoundAction({ schemas: action.schemas }, action.definition as Action)
    },
    list: async (workspaceId: WorkspaceId, page: IntegrationPage) => await guard(() => listIntegrations(database.db, workspaceId, page)),
  }
}

/** What the repeat of a request is told of an integration that the first has made and nobody finds. */
function goneSince (error: unknown): unknown {
  return isVaultError(error, 'not_found') ? new VaultError('idempotency_conflict', { detail: 'This key made an integration that has been deleted since.' }) : error
}

function createChanges ({ database, ledger, bytesMax }: Options, { compile, get }: { compile: Reader, get: CustomApis['get'] }): Pick<CustomApis, 'create' | 'revise' | 'remove'> {
  return {
    create: async (workspaceId: WorkspaceId, { upload, idempotency }: Creation, importer: Importer) => {
      const id = newId('integration')
      const { made, url } = requireCallable(await compile(upload, { party: workspaceId, id }))
      const earlier = await database.transaction(async (tx) => {
        const before = idempotency && await claimIdempotencyKey(tx, { workspaceId, ...idempotency, resourceId: id })
        if (before !== undefined) return before
        const revision = toRevision(made, url, importer)
        await requireSpace(tx, workspaceId, { revision, countMax: INTEGRATIONS_MAX - 1, bytesMax })
        await insertIntegration(tx, { workspaceId, id }, importer.by)
        await insertRevision(tx, { workspaceId, id, revision: 1 }, revision)
        await ledger.recordIn(tx, recordOf('integration.created', { workspaceId, id, importer }, { revision: 1, ...measureOf(made) }))
        return undefined
      })
      const place = { workspaceId, id: (earlier ?? id) as IntegrationId }
      const api = await get(place).catch((error: unknown) => { throw earlier === undefined ? error : goneSince(error) })
      return { api, replayed: earlier !== undefined }
    },

    revise: async (of: IntegrationPlace, { upload, expected }: Revising, importer: Importer) => {
      const seen = await get(of)
      requireEnvironments(seen.manifest, importer)
      requireRevision(seen.row.revision, expected)
      const before = await guard(() => readPacked(database.db, { ...of, revision: seen.row.revision }))
      const { made, url } = requireCallable(await compile(upload, { party: of.workspaceId, id: of.id, before }))
      if (made.summary.sha256 === seen.row.sha256 && isSame(made.choices, seen.choices)) return seen
      await database.transaction(async (tx) => {
        const row = await requireLocked(tx, of)
        requireRevision(row.revision, seen.row.revision)
        const revision = row.revision + 1
        if (revision > REVISIONS_MAX) throw new VaultError('integration_limit')
        const next = toRevision(made, url, importer)
        await requireSpace(tx, of.workspaceId, { revision: next, countMax: INTEGRATIONS_MAX, bytesMax })
        await insertRevision(tx, { ...of, revision }, next)
        await ledger.recordIn(tx, recordOf('integration.revised', { ...of, importer }, { revision, ...measureOf(made) }))
      })
      return await get(of)
    },

    remove: async (of: IntegrationPlace, expected: Expected, importer: Importer) => {
      requireEnvironments((await get(of)).manifest, importer)
      const removed = await database.transaction(async (tx) => {
        const row = await requireLocked(tx, of)
        requireRevision(row.revision, expected)
        await ledger.recordIn(tx, recordOf('integration.deleted', { ...of, importer }, { revision: row.revision }))
        if (!await deleteIntegration(tx, of)) throw new InUse()
        return true
      }).catch((error: unknown) => {
        if (error instanceof InUse) return false
        throw error
      })
      if (removed) return
      const connections = await guard(() => listConnectionsOf(database.db, of, { environments: importer.environments, limit: LISTED_MAX }))
      const hidden = 'Somebody is connecting it, or a connection was made with it that this token may not see.'
      const detail = connections.length === 0 ? hidden : `Connections were made with it; the first ${LISTED_MAX} are listed.`
      throw new VaultError('integration_in_use', { detail, meta: { connections } })
    },
  }
}

/** Rolls the transaction back, in which nothing can be read any more. */
class InUse extends Error {}

interface Read {
  readonly compiled: Compiled
  /** Where the document was fetched from. */
  readonly url: string | null
}
type Reader = (upload: Upload, of: Pick<CompileJob, 'id' | 'before'> & { readonly party: string }) => Promise<Read>

/** Compiles an upload, after fetching the document where it only says where that is. */
function createReader ({ compiler, egress, reach }: Options): Reader {
  return async (upload, { party, ...of }) => {
    const job = { ...of, open: [...reach.open], closed: [...reach.closed] }
    const first = await compiler.run({ ...job, kind: 'request', ...upload }, party)
    if (first.kind === 'compiled') return { compiled: first, url: null }
    const { url, choices } = first
    const document = await fetchDocument(egress, url).catch((error: unknown) => { throw error instanceof ImportError ? openapiInvalid(error) : error })
    const second = await compiler.run({ ...job, kind: 'document', document, base: url, choices }, party)
    if (second.kind !== 'compiled') throw new TypeError('a document that leads elsewhere')
    return { compiled: second, url }
  }
}

function requireCallable ({ compiled, url }: Read): { made: Made, url: string | null } {
  const { head, actions, schemas } = compiled
  if (head === undefined || actions === undefined || schemas === undefined) throw openapiInvalid({ pointer: '/paths', message: 'has nothing that can be called: preview it to see why' })
  return { made: { ...compiled, head, actions, schemas }, url }
}

function toRevision (made: Made, url: string | null, { by }: Importer): NewRevision {
  const { summary, head, choices, kept, diff, actions, schemas } = made
  const bytes = [head, choices, kept, diff, actions, schemas].reduce((sum, json) => sum + (json?.byteLength ?? 0), 0)
  return { summary: { ...summary, source_url: url }, head, options: choices, report: kept, diff, actions, schemas, bytes, by }
}

interface Needed {
  readonly revision: NewRevision
  readonly countMax: number
  readonly bytesMax: number
}

/** Imports at the same time don't see each other: what is beyond the limits is bounded by how many are compiled at a time. */
async function requireSpace (tx: Tx, workspaceId: WorkspaceId, { revision, countMax, bytesMax }: Needed): Promise<void> {
  const { count, bytes } = await measureIntegrations(tx, workspaceId)
  if (count > countMax) throw new VaultError('integration_limit')
  if (bytes + revision.bytes <= bytesMax) return
  throw new VaultError('integration_limit', { detail: `The revisions of a workspace hold ${bytesMax} bytes at most: there are ${bytes} already, and this one has ${revision.bytes}.` })
}

async function requireLocked (tx: Tx, of: IntegrationPlace) {
  const row = await lockIntegration(tx, of)
  if (row === undefined) throw new VaultError('not_found')
  return row
}

/** An integration is the same in all of its environments: who may not act in one of them may not change it there. */
function requireEnvironments ({ environments }: Manifest, importer: Importer): void {
  const missing = environments.filter((environment) => !importer.environments.includes(environment))
  if (missing.length > 0) throw new VaultError('insufficient_scope', { detail: `The integration is for ${environments.join(' and ')}; this token is not for ${missing.join(' and ')}.` })
}

function isSame (choices: Uint8Array, before: ImportChoices): boolean {
  return Buffer.from(choices).toString('utf8') === JSON.stringify(before)
}

function measureOf ({ summary: { sha256, actions } }: Made) {
  return { sha256, actions }
}

type Changed = IntegrationPlace & { readonly importer: Importer }

function recordOf (event: AuditEventName, { workspaceId, id, importer }: Changed, details: Readonly<Record<string, string | number>>): AuditRecord {
  const { principal, requestId } = importer
  return { event, outcome: 'ok', principal, workspaceId, requestId, details: { integration: id, ...details } }
}
