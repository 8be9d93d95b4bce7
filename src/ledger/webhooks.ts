import type { Crypto } from '../crypto/index.ts'
import { exceptionFor, judgeUrl, type Exceptions } from '../egress/index.ts'
import { VaultError } from '../errors.ts'
import { GLOBAL_OWNER, newId, type Environment, type WebhookId } from '../ids.ts'
import { requireRevision, type Expected } from '../revision.ts'
import {
  claimIdempotencyKey, countWebhooks, deleteWebhook, disableWebhook, enableWebhook, findWebhook, guard, holdCurrentKey, whileKeyChanges, insertWebhook,
  listDeliveries,
  listWebhooks, lockWebhook, queueReplay, replaceWebhookSecret, updateWebhook, type Database, type DeliveryFilter, type DeliveryRow, type Idempotency,
  type ReplayRequest, type Tx, type WebhookRow,
} from '../store/index.ts'
import type { AuditEventName, AuditPrincipal, AuditRecord } from './record.ts'
import { sealNewSecret, type SealedSigningSecret } from './webhook-secrets.ts'
import type { LedgerWriter } from './write.ts'

/** Who changes a webhook, as the audit has it. */
export interface WebhookCaller {
  readonly principal: AuditPrincipal
  readonly by: string
  readonly requestId: string | undefined
}

export interface WebhookSettings {
  readonly url: string
  readonly description: string | null
  /** Null: all types, those of later releases included. */
  readonly eventTypes: readonly string[] | null
  readonly environments: readonly Environment[]
}

export type WebhookChanges = Partial<WebhookSettings> & { readonly enabled?: boolean }

/** A webhook as its editor read it. */
export interface SeenWebhook {
  readonly id: WebhookId
  readonly expected?: Expected
}

/** Without the secret in a replay: it was shown to the first. */
export interface WithSecret {
  readonly webhook: WebhookRow
  readonly secret: string | undefined
}

export interface Webhooks {
  /** Answers the signing secret, this once: a replay is without it. Throws `webhook_invalid`, `webhook_limit`, `idempotency_conflict`. */
  create (settings: WebhookSettings, caller: WebhookCaller, idempotency?: Idempotency): Promise<WithSecret>
  list (): Promise<WebhookRow[]>
  /** Throws `not_found`, as all that follow. */
  get (id: WebhookId): Promise<WebhookRow>
  /** Throws `webhook_invalid`, `etag_mismatch`. Enabling goes on with what is still pending. */
  update (as: SeenWebhook, changes: WebhookChanges, caller: WebhookCaller): Promise<WebhookRow>
  /** Throws `etag_mismatch`. */
  remove (as: SeenWebhook, caller: WebhookCaller): Promise<void>
  /** Answers the new secret, this once; the one before signs as well for so long. */
  rotateSecret (id: WebhookId, overlapSeconds: number, caller: WebhookCaller): Promise<WithSecret>
  listDeliveries (filter: DeliveryFilter): Promise<DeliveryRow[]>
  /** Queues events of the last 30 days again; answers how many. */
  replay (request: ReplayRequest, caller: WebhookCaller): Promise<number>
}

interface Options {
  readonly database: Pick<Database, 'db' | 'transaction'>
  readonly crypto: Pick<Crypto, 'seal' | 'forgetCurrentKeys'>
  readonly ledger: Pick<LedgerWriter, 'recordIn'>
  readonly exceptions: Exceptions
}

const WEBHOOKS_MAX = 100

export function createWebhooks (options: Options): Webhooks {
  const { database, ledger, exceptions } = options
  const change = createChange(options)
  const get = async (id: WebhookId) => await getWebhook(database, id)

  const switchTo = async (tx: Tx, { id, enabled, caller }: { id: WebhookId, enabled: boolean, caller: WebhookCaller }): Promise<void> => {
    const changed = enabled ? await enableWebhook(tx, id, caller.by) : await disableWebhook(tx, id, { reason: 'requested', by: caller.by })
    if (changed) await ledger.recordIn(tx, { ...recordOf(enabled ? 'webhook.enabled' : 'webhook.disabled', { id, caller }), ...!enabled && { reason: 'requested' } })
  }

  return Object.freeze({
    ...createSecretKeeper(options),
    list: async () => await guard(() => listWebhooks(database.db)),
    get,
    update: async ({ id, expected }: SeenWebhook, changes: WebhookChanges, caller: WebhookCaller) => await change(id, async (tx, { revision }) => {
      requireRevision(revision, expected)
      const { enabled, ...settings } = changes
      if (settings.url !== undefined) requireCallable(settings.url, exceptions)
      const changed = Object.keys(settings).sort()
      if (changed.length > 0) {
        await updateWebhook(tx, id, { ...columnsOf(settings), updated_by: caller.by })
        await ledger.recordIn(tx, recordOf('webhook.updated', { id, caller }, { changed }))
      }
      if (enabled !== undefined) await switchTo(tx, { id, enabled, caller })
    }),
    remove: async ({ id, expected }: SeenWebhook, caller: WebhookCaller) => {
      await database.transaction(async (tx) => {
        const row = await lockWebhook(tx, id)
        if (row === undefined) throw new VaultError('not_found')
        requireRevision(row.revision, expected)
        await deleteWebhook(tx, id)
        await ledger.recordIn(tx, recordOf('webhook.deleted', { id, caller }))
      })
    },
    listDeliveries: async (filter: DeliveryFilter) => {
      await get(filter.webhookId)
      return await guard(() => listDeliveries(database.db, filter))
    },
    replay: async (request: ReplayRequest, caller: WebhookCaller) => {
      let queued = 0
      await change(request.webhookId, async (tx) => {
        queued = await queueReplay(tx, request)
        await ledger.recordIn(tx, recordOf('webhook.replayed', { id: request.webhookId, caller }, { queued }))
      })
      return queued
    },
  })
}

function createChange ({ database }: Options) {
  return async (id: WebhookId, work: (tx: Tx, row: Pick<WebhookRow, 'revision'>) => Promise<void>): Promise<WebhookRow> => {
    await database.transaction(async (tx) => {
      const row = await lockWebhook(tx, id)
      if (row === undefined) throw new VaultError('not_found')
      await work(tx, row)
    })
    return await getWebhook(database, id)
  }
}

async function getWebhook ({ db }: Pick<Database, 'db'>, id: WebhookId): Promise<WebhookRow> {
  const row = await guard(() => findWebhook(db, id))
  if (row === undefined) throw new VaultError('not_found')
  return row
}

/** What makes a signing secret. */
function createSecretKeeper ({ database, crypto, ledger, exceptions }: Options): Pick<Webhooks, 'create' | 'rotateSecret'> {
  /** Seals a new secret and stores it; once more when the key was replaced in between. `store` answers which webhook it stands for: an earlier one has its own. */
  const withSecret = async (id: WebhookId, store: (tx: Tx, sealed: SealedSigningSecret) => Promise<WebhookId>) => {
    return await whileKeyChanges(crypto, async () => {
      const sealed = await sealNewSecret(crypto, id)
      const done = await database.transaction(async (tx) => await holdCurrentKey(tx, GLOBAL_OWNER, sealed.keyId) ? await store(tx, sealed) : undefined)
      return done && { webhook: await getWebhook(database, done), secret: done === id ? sealed.shown : undefined }
    })
  }

  const insert = async (tx: Tx, settings: WebhookSettings, { id, sealed, caller }: { id: WebhookId, sealed: SealedSigningSecret, caller: WebhookCaller }) => {
    if (await countWebhooks(tx) >= WEBHOOKS_MAX) throw new VaultError('webhook_limit', { detail: `There are ${WEBHOOKS_MAX} already.` })
    const { url, environments } = settings
    await insertWebhook(tx,
      { id, ...columnsOf(settings), url, environments: [...environments], created_by: caller.by, updated_by: caller.by },
      { webhook_id: id, id: sealed.id, number: 1, state: 'current', sealed: sealed.sealed, key_id: sealed.keyId, created_by: caller.by })
    await ledger.recordIn(tx, recordOf('webhook.created', { id, caller }, { host: new URL(url).host }))
  }

  return {
    create: async (settings: WebhookSettings, caller: WebhookCaller, idempotency?: Idempotency) => {
      requireCallable(settings.url, exceptions)
      const id = newId('webhook')
      return await withSecret(id, async (tx, sealed) => {
        const earlier = idempotency && await claimIdempotencyKey(tx, { workspaceId: GLOBAL_OWNER, ...idempotency, resourceId: id })
        if (earlier === undefined) {
          await insert(tx, settings, { id, sealed, caller })
          return id
        }
        const made = earlier as WebhookId
        if (await lockWebhook(tx, made) === undefined) throw new VaultError('idempotency_conflict', { detail: 'This key made a webhook that has been deleted since.' })
        return made
      })
    },
    rotateSecret: async (id: WebhookId, overlapSeconds: number, caller: WebhookCaller) => await withSecret(id, async (tx, { id: secretId, sealed, keyId }) => {
      const row = await lockWebhook(tx, id)
      if (row === undefined) throw new VaultError('not_found')
      const number = row.last_secret_number + 1
      await replaceWebhookSecret(tx, { webhook_id: id, id: secretId, number, state: 'current', sealed, key_id: keyId, created_by: caller.by }, overlapSeconds)
      await updateWebhook(tx, id, { last_secret_number: number, updated_by: caller.by })
      await ledger.recordIn(tx, recordOf('webhook.secret_rotated', { id, caller }, { overlap_seconds: overlapSeconds }))
      return id
    }),
  }
}

function columnsOf (settings: Partial<WebhookSettings>) {
  const { url, description, eventTypes, environments } = settings
  return {
    ...url !== undefined && { url }, ...description !== undefined && { description }, ...environments !== undefined && { environments: [...environments] },
    ...eventTypes !== undefined && { event_types: eventTypes === null ? null : [...eventTypes] },
  }
}

/** Names are judged again when they are resolved, with each delivery. Throws `webhook_invalid`. */
function requireCallable (text: string, exceptions: Exceptions): void {
  const verdict = judgeText(text, exceptions)
  if (verdict === undefined) return
  const url = URL.parse(text)
  const opened = url === null || url.hash !== '' ? undefined : exceptionFor(url)
  const hint = opened === undefined ? '' : `, unless an operator lists ${opened} in EGRESS_ALLOW_WEBHOOK`
  throw new VaultError('webhook_invalid', { detail: 'The webhook does not fit.', errors: [{ pointer: '/url', message: `is not called: ${verdict}${hint}` }] })
}

const HOST_CHARACTERS_MAX = 253

/** The URL parser leaves out or rewrites what can't be seen: what is called would not be what was written. */
function judgeText (text: string, exceptions: Exceptions): string | undefined {
  if (/[\s\p{C}\p{Z}]/u.test(text)) return 'it has spaces, or characters that can’t be seen'
  const url = URL.parse(text)
  if (url === null) return 'it can’t be read'
  if (url.hash !== '') return 'it has a fragment'
  if (url.port === '0') return 'nothing listens on port 0'
  if (url.hostname.replace(/\.$/, '').length > HOST_CHARACTERS_MAX) return `its host has more than ${HOST_CHARACTERS_MAX} characters`
  return judgeUrl(url, exceptions)
}

function recordOf (event: AuditEventName, { id, caller }: { id: WebhookId, caller: WebhookCaller }, details: AuditRecord['details'] = {}): AuditRecord {
  return { event, outcome: 'ok', principal: caller.principal, requestId: caller.requestId, details: { webhook_id: id, ...details } }
}
