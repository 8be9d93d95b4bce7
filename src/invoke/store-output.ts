import type { AuthScheme, IntegrationAction } from '../catalog/index.ts'
import type { Caller, Connections, UsableConnection } from '../connections/index.ts'
import type { SecretFields } from '../crypto/index.ts'
import { isVaultError, VaultError } from '../errors.ts'
import type { Log } from '../log.ts'
import { readPointer } from '../predicate.ts'
import type { Invocation } from './outcome.ts'

/** How a credential in an action's output is to be kept. */
export interface StoreAs {
  readonly name: string
  readonly labels: Readonly<Record<string, string>>
  /** Wraps the values; it is the route's, where plaintext enters the vault. */
  readonly take: (scheme: AuthScheme, values: Readonly<Record<string, string>>) => TakenOutput
}

export interface TakenOutput {
  readonly secrets: SecretFields
  readonly previews: Readonly<Record<string, string>>
}

/** What is done about an output that is to be stored, around the call that makes it. */
export interface AroundCall {
  /** Before anything is sent. Throws `name_taken`. */
  before (): Promise<void>
  after (invocation: Invocation): Promise<Invocation>
}

export interface OutputStore {
  /** Throws `input_invalid` when the action has no such output. */
  prepare (of: Storing, caller: Caller): AroundCall
}

interface Storing {
  readonly connection: UsableConnection
  readonly action: IntegrationAction
  readonly storeAs: StoreAs
}

interface Options {
  readonly connections: Pick<Connections, 'opener' | 'create' | 'requireFreeName' | 'get'>
  readonly log: Log
}

/** Stands in the output for what has become a connection. */
const STORED = '[stored]'
/** Of the invocation's id, to tell two of a name apart. */
const SUFFIX_LENGTH = 6

/** Makes a connection of a credential that a provider has just issued (Plaid's access token). */
export function createOutputStore ({ connections, log }: Options): OutputStore {
  const create = async ({ connection, storeAs }: Storing, taken: TakenOutput, { caller, name }: { caller: Caller, name: string }) => {
    const { row, integration, scheme, config } = connection
    const secrets = { ...await connections.opener.open(row, caller), ...taken.secrets }
    const { previews } = await connections.get({ workspaceId: row.workspace_id, id: row.id }, caller)
    const { view } = await connections.create({
      workspaceId: row.workspace_id, environment: row.environment, name, labels: storeAs.labels, expiresOn: undefined, idempotency: undefined,
      credential: { integration, scheme, config, secrets, previews: { ...previews, ...taken.previews } },
      // What limits the connection that made the call limits what came of it.
      allowedActions: row.allowed_actions ?? undefined, allowedHosts: row.allowed_hosts ?? undefined,
    }, caller)
    return view
  }

  /** The call can't be made again for its token: whatever keeps it from being stored under its name must not lose it. */
  const store = async (storing: Storing, invocation: Invocation, caller: Caller): Promise<Invocation> => {
    const outputs = storableOutputs(storing)
    const found = outputs.map(({ pointer, field }) => [pointer, field, readPointer(invocation.output, pointer)] as const)
    const values = Object.fromEntries(found.flatMap(([, field, value]) => typeof value === 'string' && value !== '' ? [[field, value]] : []))
    if (Object.keys(values).length < outputs.length) return { ...invocation, store_error: { code: 'output_missing', message: 'The output holds no credential where one was expected.' } }
    const { connection, storeAs } = storing
    const taken = storeAs.take(connection.scheme, values)
    const view = await create(storing, taken, { caller, name: storeAs.name }).catch(async (error: unknown) => {
      if (!isVaultError(error, 'name_taken')) throw error
      return await create(storing, taken, { caller, name: `${storeAs.name} ${invocation.invocation_id.slice(-SUFFIX_LENGTH)}` })
    })
    const output = outputs.reduce((value: unknown, { pointer }) => replaceAt(value, pointer, STORED), invocation.output)
    return { ...invocation, output, stored: { connection_id: view.id, name: view.name } }
  }

  return Object.freeze({
    prepare: (storing: Storing, caller: Caller) => {
      const { connection: { row, integration }, action, storeAs } = storing
      if (storableOutputs(storing).length === 0) {
        throw new VaultError('input_invalid', {
          detail: `${integration.manifest.name}’s ${action.definition.name} answers no credential that can be stored.`,
          errors: [{ pointer: '/store_as', message: 'does not go with this action' }],
        })
      }
      return {
        before: async () => { await connections.requireFreeName({ workspaceId: row.workspace_id, environment: row.environment, name: storeAs.name }) },
        after: async (invocation: Invocation) => {
          if (invocation.outcome !== 'succeeded') return invocation
          return await store(storing, invocation, caller).catch((error: unknown) => {
            log.error({ err: error, invocation_id: invocation.invocation_id }, 'a credential in an output could not be stored and goes to its caller')
            const code = isVaultError(error) ? error.code : 'internal'
            return { ...invocation, store_error: { code, message: 'The credential could not be stored; it is in the output, so that it is not lost.' } }
          })
        },
      }
    },
  })
}

/** Of this connection's kind of credential only. */
function storableOutputs ({ connection, action }: Storing): { pointer: string, field: string }[] {
  const known = new Set(connection.scheme.fields.map((field) => field.name))
  return (action.definition.secret_outputs ?? []).flatMap(({ pointer, field }) => field !== undefined && known.has(field) ? [{ pointer, field }] : [])
}

/** The value with what a JSON pointer (RFC 6901) finds in it replaced. */
function replaceAt (value: unknown, pointer: string, replacement: string): unknown {
  const [, token, ...rest] = pointer.split('/')
  if (token === undefined) return replacement
  if (value === null || typeof value !== 'object') return value
  const name = token.replaceAll('~1', '/').replaceAll('~0', '~')
  const below = ['', ...rest].join('/')
  const entries = Object.entries(value).map(([key, member]) => [key, key === name ? replaceAt(member, below, replacement) : member as unknown] as const)
  return Array.isArray(value) ? entries.map(([, member]) => member) : Object.fromEntries(entries)
}
