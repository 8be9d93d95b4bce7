import { buildTestRequest, type CallResult } from '../calls/index.ts'
import { fillTemplate, isLinked, isPrivate, requireTest, type AuthScheme, type Catalog, type Manifest, type TestRequest } from '../catalog/index.ts'
import type { Clock } from '../clock.ts'
import type { SecretFields } from '../crypto/index.ts'
import { isVaultError, VaultError } from '../errors.ts'
import { newId, type GroupId } from '../ids.ts'
import type { Ledger } from '../ledger/index.ts'
import type { OAuthProtocol } from '../oauth/index.ts'
import { matches, readFirst, readPointer } from '../predicate.ts'
import type { Presence } from '../relay/index.ts'
import { clearRefusals, findConnection, guard, markNeedsReauth, setAccount, type Database, type Executor, type UsableRow } from '../store/index.ts'
import type { Caller } from './caller.ts'
import { describeUsable, type CredentialOpener, type UsableConnection } from './credential.ts'
import type { Of } from './edit.ts'
import { issueToken } from './grant.ts'
import { requireUsable } from './guards.ts'
import type { RecordedCalls } from './recorded-call.ts'
import { isRenewable, type Renewer } from './renew.ts'
import { listWarnings } from './warnings.ts'

/** `limited`: valid, but not allowed this one request. `unreachable` says nothing about the credential. */
export type TestVerdict = 'ok' | 'auth_failed' | 'limited' | 'unreachable'

export interface TestResult {
  readonly result: TestVerdict
  readonly detail: string
  readonly status: number | null
  readonly account: { readonly id: string, readonly label: string | null } | null
  readonly duration_ms: number
  readonly warnings: readonly string[]
}

export interface Tester {
  /**
   * Tests the stored credential; what it shows is noted on the connection. A token that is refused is renewed once and tested again.
   * Throws as `ensureFresh`, but for a grant that has ended: that is a refusal.
   */
  test (of: Of, caller: Caller): Promise<TestResult>
  /** Tests a credential that is not stored (yet). Changes nothing. */
  testCredential (connection: UsableConnection, secrets: SecretFields, caller: Caller): Promise<TestResult>
}

interface Options {
  readonly database: Pick<Database, 'db' | 'usable' | 'transaction'>
  readonly catalog: Catalog
  readonly opener: CredentialOpener
  readonly calls: RecordedCalls
  readonly renewer: Pick<Renewer, 'ensureFresh'>
  readonly ledger: Pick<Ledger, 'recordIn'>
  readonly oauth: Pick<OAuthProtocol, 'clientCredentials'>
  readonly clock: Clock
  readonly presence: Pick<Presence, 'countOnline'>
}

interface Trial {
  readonly secrets: SecretFields
  readonly caller: Caller
}

/** What a test has shown, and of which version. */
interface Tested {
  readonly connection: UsableConnection
  readonly tested: TestResult
}

const TIMEOUT_MS = 15_000

export function createTester (options: Options): Tester {
  const { database, catalog, opener, calls, renewer, oauth, clock } = options

  /** A client that has no token yet is tested by getting one. */
  const withToken = async (connection: UsableConnection, { secrets, caller }: Trial): Promise<{ secrets: SecretFields } | TestResult> => {
    const { integration, scheme, row, config } = connection
    if (scheme.oauth?.grant !== 'client_credentials' || secrets['access_token'] !== undefined) return { secrets }
    const startedMs = clock.monotonicMs()
    caller.stepAside?.()
    const issued = await issueToken(oauth, { integration, scheme, environment: row.environment, config, sealedFor: row.hosts }, secrets)
    if (issued.kind === 'granted') return { secrets: { ...secrets, access_token: issued.tokens.accessToken } }
    const result = issued.kind === 'rejected' ? 'auth_failed' as const : 'unreachable' as const
    const status = 'status' in issued ? issued.status ?? null : null
    return { result, detail: issued.description, status, account: null, duration_ms: Math.round(clock.monotonicMs() - startedMs), warnings: [] }
  }

  const testCredential = async (connection: UsableConnection, secrets: SecretFields, caller: Caller): Promise<TestResult> => {
    const { row, integration, scheme, config, hosts } = connection
    const place = { workspaceId: row.workspace_id, environment: row.environment, connectionId: row.id, versionId: row.version_id }
    const tokened = await withToken(connection, { secrets, caller })
    if ('result' in tokened) return tokened
    const request = {
      built: buildTestRequest(integration.manifest, connection), credential: { scheme, secrets: tokened.secrets, config, hosts },
      timeoutMs: TIMEOUT_MS, repeatable: true,
    }
    const { result, durationMs } = await calls.make({ ...place, invocationId: newId('invocation'), integration, action: '(test)', effect: 'read' }, request, caller)
    const judged = judgeTest(integration.manifest, connection, result)
    return { ...judged, account: judged.result === 'ok' ? nameAccount(connection, judged.account) : null, duration_ms: durationMs, warnings: [] }
  }

  const testStored = async (connection: UsableConnection, caller: Caller): Promise<Tested> =>
    ({ connection, tested: await testCredential(connection, await opener.open(connection.row, caller), caller) })

  /** The provider may end a token before its time: only a refusal that renewing does not mend is one of the credential. */
  const testFresh = async (connection: UsableConnection, caller: Caller): Promise<Tested> => {
    const first = await testStored(connection, caller)
    if (first.tested.result !== 'auth_failed' || !isRenewable(connection)) return first
    const renewed = await renewer.ensureFresh(connection, { rejectedVersion: connection.row.version_id }, caller).catch((error: unknown) => {
      if (isVaultError(error, 'connection_needs_reauth')) return undefined
      throw error
    })
    if (renewed === undefined) return first
    const second = await testStored(renewed, caller)
    return { ...second, tested: { ...second.tested, duration_ms: first.tested.duration_ms + second.tested.duration_ms } }
  }

  const note = createNoter(options)

  return Object.freeze({
    testCredential,
    test: async (of: Of, caller: Caller) => {
      const found = await database.usable.find(of.workspaceId, of.id)
      if (found === undefined || !caller.environments.includes(found.environment)) throw new VaultError('not_found')
      const row = requireTestable(found, caller)
      const known = await renewer.ensureFresh(await describeUsable(catalog, row), {}, caller)
      const { connection, tested } = isPrivate(known.integration.manifest)
        ? { connection: known, tested: await testAgents(options, known) }
        : await testFresh(known, caller)
      await note(connection, tested, caller)
      return await guard(() => describeTested(database.db, { connection, tested }, caller))
    },
  })
}

/** A test's result as the connection has it now: its account under the name that is kept. */
async function describeTested (on: Executor, { connection, tested }: Tested, { environments }: Caller): Promise<TestResult> {
  const { row, integration: { manifest } } = connection
  const view = await findConnection(on, row.workspace_id, row.id)
  if (view === undefined) throw new VaultError('not_found')
  const account = tested.account === null || view.account_id === null ? tested.account : { id: view.account_id, label: view.account_label }
  return { ...tested, account, warnings: await listWarnings(on, { row: { ...view, account_id: account?.id ?? null }, manifest }, environments) }
}

/** Of a private connection nothing can be tried but whether somebody is there. */
async function testAgents ({ presence, clock }: Pick<Options, 'presence' | 'clock'>, { row }: UsableConnection): Promise<TestResult> {
  const startedMs = clock.monotonicMs()
  const { agents, online } = await presence.countOnline({ workspaceId: row.workspace_id, id: row.host_config['group'] as GroupId })
  const detail = `${online} of the group’s ${agents} agents ${online === 1 ? 'is' : 'are'} there.`
  return { result: online > 0 ? 'ok' : 'unreachable', detail, status: null, account: null, duration_ms: Math.round(clock.monotonicMs() - startedMs), warnings: [] }
}

/** Notes on the connection what a test has shown. */
function createNoter ({ database, ledger }: Pick<Options, 'database' | 'ledger'>): (connection: UsableConnection, tested: TestResult, caller: Caller) => Promise<void> {
  return async ({ row, scheme }, tested, caller) => {
    const version = { workspaceId: row.workspace_id, connectionId: row.id, versionId: row.version_id }
    const about = { ...version, environment: row.environment, principal: caller.principal, requestId: caller.requestId }
    await database.transaction(async (tx) => {
      if (tested.account !== null && !isNamedByGrant(scheme)) await setAccount(tx, version, tested.account)
      if (tested.result === 'ok' || tested.result === 'limited') {
        if (await clearRefusals(tx, version)) await ledger.recordIn(tx, { ...about, event: 'connection.recovered', outcome: 'ok' })
      } else if (tested.result === 'auth_failed' && await markNeedsReauth(tx, version, 'credential_refused')) {
        await ledger.recordIn(tx, { ...about, event: 'connection.needs_reauth', outcome: 'ok', reason: 'credential_refused' })
      }
      await ledger.recordIn(tx, { ...about, event: 'connection.tested', outcome: 'ok', details: { result: tested.result, status: tested.status } })
    })
  }
}

/** A refused credential may be tested: that is how it recovers. Disabled and unfinished ones may not. */
function requireTestable (row: UsableRow, caller: Caller): UsableRow {
  try {
    return requireUsable(row, { environment: row.environment, visible: caller.environments })
  } catch (error) {
    if (isVaultError(error, 'connection_needs_reauth')) return row
    throw error
  }
}

/** What the answer to a test request says of the credential. */
function judgeTest (manifest: Manifest, { row: { environment }, config }: UsableConnection, result: CallResult): Omit<TestResult, 'duration_ms' | 'warnings'> {
  const test = requireTest(manifest)
  if (result.kind !== 'answered') return { result: 'unreachable', detail: result.detail, status: result.status ?? null, account: null }
  const { judged, status, error } = result.response
  const said = (verdict: TestVerdict, detail: string) => ({ result: verdict, detail, status, account: null })
  if (test.auth_failed.some((predicate) => matches(predicate, judged))) return said('auth_failed', error?.message ?? `${manifest.name} refuses the credential.`)
  if (test.limited?.some((predicate) => matches(predicate, judged)) === true) return said('limited', `The credential is valid but may not make the test request: ${error?.message ?? `status ${status}`}`)
  if (error !== undefined) return said('unreachable', error.message)
  if (test.environment !== undefined && readPointer(judged.json, test.environment.pointer) !== test.environment[environment]) {
    return said('auth_failed', `${manifest.name} says that this credential does not belong to its ${environment} environment.`)
  }
  if (test.reaches !== undefined && !isReached(test.reaches, config, judged.json)) {
    return said('auth_failed', `${manifest.name} accepts the credential, but it no longer reaches what this connection is for. Link the account again.`)
  }
  return { ...said('ok', `${manifest.name} accepts the credential.`), account: readAccount(manifest, judged.json) }
}

function isReached ({ list, pointer, is }: NonNullable<TestRequest['reaches']>, config: UsableConnection['config'], json: unknown): boolean {
  const entries = readPointer(json, list)
  const wanted = fillTemplate(is, config)
  return Array.isArray(entries) && entries.some((entry) => readPointer(entry, pointer) === wanted)
}

/** Whether the token answer has said whose the grant is: a test may call that account by another of its ids (Slack a person by the team). */
function isNamedByGrant (scheme: AuthScheme): boolean {
  return isLinked(scheme) && scheme.oauth?.token_answer.account !== undefined
}

/** The account that a grant was linked for, where one reaches several; undefined for a scheme whose account the provider names. */
export function namedAccount ({ oauth }: AuthScheme, config: Readonly<Record<string, string>>): string | undefined {
  return oauth?.account_config === undefined ? undefined : config[oauth.account_config]
}

/** Who made the test request may be a person; the account is what was chosen then, and has its label from the choice. */
function nameAccount ({ scheme, config }: UsableConnection, tested: TestResult['account']): TestResult['account'] {
  const id = namedAccount(scheme, config)
  if (id === undefined) return tested
  return { id, label: scheme.oauth?.after_token === undefined ? tested?.label ?? null : null }
}

function readAccount (manifest: Manifest, json: unknown): TestResult['account'] {
  const read = (pointers: string | readonly string[] | undefined) => {
    const value = pointers === undefined ? undefined : readFirst(json, pointers)
    return typeof value === 'string' || typeof value === 'number' ? String(value).slice(0, 200) : null
  }
  const id = read(manifest.test?.account?.id)
  return id === null ? null : { id, label: read(manifest.test?.account?.label) }
}
