import { hostMatches, isLinked, judgeConfig, previewSecret, resolveDestination, type AuthScheme, type Integration } from '../catalog/index.ts'
import { createOneTimeToken, type BindingContext, type Crypto, type SecretFields } from '../crypto/index.ts'
import { VaultError } from '../errors.ts'
import { newId, type AppId, type AppOwner, type ConnectionId, type VersionId } from '../ids.ts'
import { readPointer } from '../predicate.ts'
import {
  awaitConfirmation, findConnection, guard, holdCurrentKey, lockSession, replaceCompletion, replacePendingLink, whileKeyChanges,
  type ConnectionView, type Database, type LinkChoice, type NewPendingLink, type PendingLinkRow, type SessionRow, type Tx, type UsableRow,
} from '../store/index.ts'
import type { Caller } from './caller.ts'
import { omit, sealVersion } from './create.ts'
import type { UsableConnection } from './credential.ts'
import { requireOAuth } from './grant.ts'
import type { RecordedCalls } from './recorded-call.ts'
import { namedAccount, type Tester, type TestResult } from './test.ts'

/** A credential that a browser has brought: pasted there, or granted to it. */
export interface Brought {
  readonly integration: Integration
  readonly scheme: AuthScheme
  readonly secrets: SecretFields
  readonly config: Readonly<Record<string, string>>
  readonly previews: Readonly<Record<string, string>>
  readonly grant: BroughtGrant | undefined
  /** What was chosen, as the provider calls it. */
  readonly chosen?: string | undefined
}

export interface BroughtGrant {
  readonly appOwner: AppOwner
  readonly appId: AppId
  readonly scopes: readonly string[]
  readonly holder: string | null
  readonly account: { readonly id: string, readonly label: string | null } | null
  readonly tokenExpiresAt: Date | null
  readonly refreshExpiresAt: Date | null
}

/** What became of it. `unreachable`: the provider could not be asked; what was granted is kept to be tried again. */
export type BroughtEnd =
  | { readonly kind: 'confirm', readonly code: string }
  | { readonly kind: 'choose', readonly question: string, readonly choices: readonly LinkChoice[], readonly missed?: true }
  | { readonly kind: 'unreachable', readonly detail: string }
  | { readonly kind: 'credential_refused', readonly detail: string }
  | { readonly kind: 'nothing_granted', readonly detail: string }
  | { readonly kind: 'wrong_account', readonly expected: string, readonly reached: string }

export interface LinkKeeper {
  /** Finds out what the credential reaches, tests it and keeps it until it is confirmed. */
  keep (session: SessionRow, brought: Brought, caller: Caller): Promise<BroughtEnd>
  /** Opens what waits for a choice or another try. */
  reopen (link: PendingLinkRow, of: { integration: Integration, scheme: AuthScheme }): Promise<Brought>
  /** A new code for a link that waits to be confirmed: the one before no longer counts. */
  renewCode (session: SessionRow): Promise<string>
}

interface Options {
  readonly database: Pick<Database, 'db' | 'transaction'>
  readonly crypto: Pick<Crypto, 'seal' | 'open' | 'forgetCurrentKeys'>
  readonly calls: RecordedCalls
  readonly tester: Pick<Tester, 'testCredential'>
}

const STEP_TIMEOUT_MS = 15_000
const CONFIRM_SECONDS = 600
const CHOICES_MAX = 200

export function createLinkKeeper (options: Options): LinkKeeper {
  const { database, crypto } = options
  const store = createLinkStore(options)
  const ask = createProviderQuestions(options)

  const finish = async (session: SessionRow, brought: Brought, caller: Caller): Promise<BroughtEnd> => {
    requireFittingConfig(session, brought)
    const connectionId = session.reconnect_id ?? newId('connection')
    const tested = await ask.test(session, { brought, connectionId }, caller)
    if (tested.result === 'auth_failed') return { kind: 'credential_refused', detail: tested.detail }
    if (tested.result === 'unreachable') return { kind: 'unreachable', detail: tested.detail }
    const account = accountOf(brought, tested)
    const wrong = await judgeAccount(database, session, account)
    if (wrong !== undefined) return wrong
    return { kind: 'confirm', code: await store.whole(session, { brought, connectionId, account }) }
  }

  return Object.freeze({
    keep: async (session: SessionRow, brought: Brought, caller: Caller): Promise<BroughtEnd> => {
      if (!isLinked(brought.scheme)) return await finish(session, brought, caller)
      // On disk before anything else is asked: a crash from here on leaves something to revoke.
      await store.unassigned(session, brought, [])
      const choices = await ask.listChoices(session, brought, caller)
      if (typeof choices === 'string') return { kind: 'unreachable', detail: choices }
      const [only] = choices
      if (only === undefined) return { kind: 'nothing_granted', detail: `${brought.integration.manifest.name} granted access, but to no account.` }
      if (choices.length === 1) return await finish(session, { ...brought, config: { ...brought.config, ...only.config }, chosen: only.label === '' ? brought.chosen : only.label }, caller)
      await store.unassigned(session, brought, choices)
      return { kind: 'choose', question: questionOf(brought.scheme), choices }
    },

    reopen: async (link: PendingLinkRow, { integration, scheme }: { integration: Integration, scheme: AuthScheme }) => {
      const secrets = await crypto.open(unassigned({ ...link, id: link.session_id }, { id: link.id, fieldSet: link.field_set }), link.sealed)
      return { integration, scheme, secrets, config: link.config, previews: link.previews, grant: grantOf(link), chosen: link.account_label ?? undefined }
    },

    renewCode: async (session: SessionRow) => {
      const code = createOneTimeToken()
      await database.transaction(async (tx) => {
        const locked = await lockSession(tx, session)
        if (locked?.state !== 'confirming' || locked.expired) throw ended(locked)
        await replaceCompletion(tx, session, code.hash)
      })
      return code.token
    },
  })
}

/** Puts links where they wait. */
function createLinkStore ({ database, crypto }: Options) {
  /** The link in its place; with a code's hash it is whole, and the time to confirm it begins. False when the key was replaced meanwhile. */
  const store = async (session: SessionRow, row: Omit<NewPendingLink, 'workspace_id' | 'session_id' | 'environment'>, completion?: Buffer): Promise<boolean> =>
    await database.transaction(async (tx) => {
      await requireBound(tx, session)
      if (!await holdCurrentKey(tx, session.workspace_id, row.key_id)) return false
      await replacePendingLink(tx, { ...row, workspace_id: session.workspace_id, session_id: session.id, environment: session.environment })
      if (completion !== undefined) await awaitConfirmation(tx, session, { hash: completion, ttlSeconds: CONFIRM_SECONDS })
      return true
    })

  return {
    unassigned: async (session: SessionRow, brought: Brought, choices: readonly LinkChoice[]): Promise<void> => {
      await whileKeyChanges(crypto, async () => {
        const id = newId('version')
        const fieldSet = Object.keys(brought.secrets)
        const { sealed, keyId } = await crypto.seal(unassigned(session, { id, fieldSet }), brought.secrets)
        const stored = await store(session, {
          ...columnsOf(brought), id, connection_id: session.reconnect_id ?? newId('connection'), stage: 'choosing', choices: JSON.stringify(choices),
          field_set: fieldSet, hosts: [], host_config: '{}', config: JSON.stringify(brought.config), sealed, key_id: keyId,
          account_id: brought.grant?.account?.id ?? null, account_label: brought.chosen ?? brought.grant?.account?.label ?? null,
        })
        return stored ? true : undefined
      })
    },
    whole: async (session: SessionRow, of: Whole & { account: Account }): Promise<string> => await whileKeyChanges(crypto, async () => {
      const { brought, connectionId, account } = of
      const { workspace_id: workspaceId, environment } = session
      const { place, sealed } = await sealVersion(crypto, { workspaceId, environment, connectionId, allowedHosts: undefined }, brought)
      const code = createOneTimeToken()
      const stored = await store(session, {
        ...columnsOf(brought), id: place.versionId, connection_id: connectionId, stage: 'confirming', choices: '[]', field_set: [...place.fieldSet],
        hosts: [...place.hosts], host_config: JSON.stringify(place.hostConfig), config: JSON.stringify(omit(brought.config, place.hostConfig)),
        sealed: sealed.sealed, key_id: sealed.keyId, account_id: account?.id ?? null, account_label: account?.label ?? null,
      }, code.hash)
      return stored ? code.token : undefined
    }),
  }
}

/** What the provider is asked about a credential before it is kept. */
function createProviderQuestions ({ calls, tester }: Options) {
  return {
    /** Which accounts the grant reaches; one choice without a label where that is not asked, a text why it can't be told. */
    listChoices: async (session: SessionRow, brought: Brought, caller: Caller): Promise<readonly LinkChoice[] | string> => {
      const [step] = brought.scheme.oauth?.after_token ?? []
      if (step === undefined || Object.keys(step.config).every((name) => brought.config[name] !== undefined)) return [{ label: '', detail: null, config: {} }]
      const url = new URL(step.url)
      requireOwnHost(brought.integration, url)
      const { scheme, secrets, config } = brought
      const { result } = await calls.make(subjectOf(session, brought), {
        built: { method: 'GET', url, headers: {}, body: undefined, bodyFields: {} }, credential: { scheme, secrets, config, hosts: [url.host] },
        timeoutMs: STEP_TIMEOUT_MS, repeatable: true,
      }, caller)
      if (result.kind !== 'answered') return result.detail
      if (result.response.error !== undefined) return result.response.error.message
      const { json } = result.response.judged
      const list = step.list === undefined ? json : readPointer(json, step.list)
      return (Array.isArray(list) ? list : [list]).slice(0, CHOICES_MAX).flatMap((entry) => toChoice(entry, step) ?? [])
    },
    test: async (session: SessionRow, { brought, connectionId }: Whole, caller: Caller): Promise<TestResult> => {
      const { integration, scheme, config } = brought
      const { baseUrl, hosts } = resolveDestination({ manifest: integration.manifest, scheme, environment: session.environment }, config)
      const connection: UsableConnection = { row: asRow(session, { brought, connectionId, hosts }), integration, scheme, config, baseUrl, hosts }
      return await tester.testCredential(connection, brought.secrets, caller)
    },
  }
}

type Account = { readonly id: string, readonly label: string | null } | null

/** Which account it is: the one that was chosen, else the one that the token answer or the test names. */
function accountOf ({ scheme, config, grant, chosen }: Brought, tested: TestResult): Account {
  const named = namedAccount(scheme, config)
  if (named === undefined) return grant?.account ?? tested.account
  return { id: named, label: chosen ?? tested.account?.label ?? null }
}

/** What a person is asked where a grant reaches several accounts. */
export function questionOf (scheme: AuthScheme): string {
  return requireOAuth(scheme).after_token?.[0]?.question ?? 'Which account do you want to connect?'
}

interface Whole {
  readonly brought: Brought
  readonly connectionId: ConnectionId
}

function grantOf (link: PendingLinkRow): BroughtGrant | undefined {
  if (link.app_owner === null || link.app_id === null) return undefined
  return {
    appOwner: link.app_owner, appId: link.app_id, scopes: link.granted_scopes ?? [], holder: link.grant_holder,
    account: link.account_id === null ? null : { id: link.account_id, label: link.account_label },
    tokenExpiresAt: link.token_expires_at, refreshExpiresAt: link.refresh_expires_at,
  }
}

/** Throws unless the session is still this browser's to fill. */
async function requireBound (tx: Tx, session: SessionRow): Promise<void> {
  const locked = await lockSession(tx, session)
  if (locked?.state !== 'bound' || locked.expired) throw ended(locked)
}

export function ended (session: SessionRow | undefined): VaultError {
  const why = session?.ended_reason ?? (session?.state === 'completed' ? 'completed' : 'expired')
  return new VaultError('connect_session_ended', {
    detail: `The session has ended: ${why}.`, meta: { ended_reason: why, ...session?.connection_id != null && { connection_id: session.connection_id } },
  })
}

/** A reconnect reaches the account it reached before, as far as that is known. */
async function judgeAccount (database: Pick<Database, 'db'>, session: SessionRow, account: Account): Promise<BroughtEnd | undefined> {
  if (session.reconnect_id === null || session.allow_account_change) return undefined
  const before: ConnectionView | undefined = await guard(() => findConnection(database.db, session.workspace_id, session.reconnect_id as ConnectionId))
  if (before === undefined) throw new VaultError('not_found')
  if (before.account_id === null || before.account_id === account?.id) return undefined
  // Two accounts of one name are told apart by their ids.
  const same = before.account_label !== null && before.account_label === account?.label
  const nameOf = (label: string | null, id: string) => label === null ? id : same ? `${label} (${id})` : label
  return { kind: 'wrong_account', expected: nameOf(before.account_label, before.account_id), reached: account === null ? 'an account that can’t be told' : nameOf(account.label, account.id) }
}

/** What the provider said of config is judged as if it had been entered. */
function requireFittingConfig (session: SessionRow, { scheme, config, integration }: Brought): void {
  const missing = scheme.fields.filter((field) => !field.secret && field.required !== false && config[field.name] === undefined)
  const errors = judgeConfig(scheme, session.environment, config)
  if (errors.length > 0 || missing.length > 0) {
    throw new VaultError('config_invalid', { detail: `${integration.manifest.name} did not say what is needed: ${[...errors.map((one) => one.pointer), ...missing.map((one) => one.name)].join(', ')}.` })
  }
}

function requireOwnHost ({ manifest }: Integration, url: URL): void {
  if (![...manifest.hosts, ...manifest.also_hosts ?? []].some((pattern) => hostMatches(pattern, url.host))) {
    throw new VaultError('egress_blocked', { detail: `${url.host} is not a host of ${manifest.name}.` })
  }
}

function toChoice (entry: unknown, step: { config: Readonly<Record<string, string>>, label?: string, detail?: string }): LinkChoice | undefined {
  const read = (pointer: string | undefined) => {
    const value = pointer === undefined ? undefined : readPointer(entry, pointer)
    return typeof value === 'string' || typeof value === 'number' ? String(value).slice(0, 300) : undefined
  }
  const config = Object.entries(step.config).map(([name, pointer]) => [name, read(pointer)] as const)
  if (config.some(([, value]) => value === undefined)) return undefined
  return { label: read(step.label) ?? config.map(([, value]) => value).join(' '), detail: read(step.detail) ?? null, config: Object.fromEntries(config) as Record<string, string> }
}

function columnsOf ({ integration, scheme, secrets, previews, grant }: Brought) {
  const shown = Object.keys(secrets).map((name) => [name, previews[name] ?? previewSecret(scheme, name, '')])
  return {
    integration: integration.manifest.id, integration_revision: integration.revision, auth: scheme.id, previews: JSON.stringify(Object.fromEntries(shown)),
    app_owner: grant?.appOwner ?? null, app_id: grant?.appId ?? null,
    granted_scopes: grant === undefined ? null : [...grant.scopes], grant_holder: grant?.holder ?? null,
    token_expires_at: grant?.tokenExpiresAt ?? null, refresh_expires_at: grant?.refreshExpiresAt ?? null,
  }
}

/** What is granted before it is known to which account. */
export function unassigned (session: Pick<SessionRow, 'workspace_id' | 'environment' | 'id'>, of: { id: VersionId, fieldSet: readonly string[] }): BindingContext {
  return {
    purpose: 'unassigned-grant', scope: { kind: 'workspace', workspaceId: session.workspace_id, environment: session.environment },
    ownerId: session.id, versionId: of.id, fieldSet: of.fieldSet, hosts: [], hostConfig: {},
  }
}

function subjectOf (session: SessionRow, { integration }: Brought) {
  return {
    invocationId: newId('invocation'), workspaceId: session.workspace_id, environment: session.environment,
    connectionId: session.reconnect_id ?? newId('connection'), versionId: newId('version'), integration, action: '(link)', effect: 'read' as const,
  }
}

/** The connection as it will be, for the test request. */
function asRow (session: SessionRow, { brought, connectionId, hosts }: { brought: Brought, connectionId: ConnectionId, hosts: readonly string[] }): UsableRow {
  return {
    workspace_id: session.workspace_id, id: connectionId, environment: session.environment,
    integration: brought.integration.manifest.id, integration_revision: brought.integration.revision, auth: brought.scheme.id, config: brought.config,
    health: 'pending', health_reason: null, disabled_at: null, allowed_actions: null, allowed_hosts: null, expires_on: null, refusals: 0,
    version_id: newId('version'), field_set: Object.keys(brought.secrets), hosts: [...hosts], host_config: {}, sealed: null,
    app_owner: null, app_id: null, token_expires_at: null, token_ttl: null, token_life: null,
  }
}
