import { join } from 'node:path'
import { makeFolder } from './folder.ts'
import type { PRESETS, Scope } from '../../src/access/index.ts'
import { SCOPES } from '../../src/access/index.ts'
import { readConfig } from '../../src/config.ts'
import { createLocalKeyring } from '../../src/crypto/index.ts'
import { createLog } from '../../src/log.ts'
import { startVault, type Vault } from '../../src/main.ts'
import { openRooms } from '../../src/rooms.ts'
import { createTestDatabase, type TestDatabase } from './cluster.ts'

export interface Answer {
  readonly status: number
  readonly headers: Headers
  readonly text: string
  // Tests look at answers of many shapes.
  // eslint-disable-next-line @typescript-eslint/no-explicit-any
  readonly body: any
}

export interface RequestOptions {
  readonly token?: string | null
  readonly body?: unknown
  readonly raw?: string | Uint8Array
  readonly headers?: Record<string, string>
}

export interface TestVault {
  readonly urls: Vault['urls']
  readonly database: TestDatabase
  readonly keyringFile: string
  /** A token that may do everything in every workspace. */
  readonly token: string
  /** Lines the vault has logged, at trace level. */
  readonly logs: string[]
  /** Works with the rooms of a vault like this one, on its database and keyring. */
  withRooms<T> (work: (rooms: Awaited<ReturnType<typeof openRooms>>) => Promise<T>): Promise<T>
  /** Makes a token. */
  mint (grants: { scopes?: readonly Scope[], preset?: keyof typeof PRESETS, workspaces?: string[], environments?: string[], expiresAt?: Date }): Promise<string>
  /** Calls the internal listener. */
  request (method: string, path: string, options?: RequestOptions): Promise<Answer>
  /** Creates a Stripe connection and answers its id. */
  connect (workspace: string, changes?: Record<string, unknown>): Promise<string>
  /** Stops the vault, keeps the database. */
  stop (): Promise<void>
  /** Starts it again, on the same database and keyring, with other settings if given. */
  start (settings?: Record<string, string>): Promise<void>
  close (): Promise<void>
}

export const STRIPE_KEY = ['sk', 'test', '51CanaryStripeKey0000000042'].join('_')

/** A whole vault in this process, on a database of its own unless told another, listening on ports the system picks. */
export async function startTestVault (settings: Record<string, string> = {}, on?: TestDatabase): Promise<TestVault> {
  const database = on ?? await createTestDatabase()
  const dir = makeFolder('test')
  const keyringFile = join(dir, 'keyring.json')
  createLocalKeyring(keyringFile, new Date())
  const logs: string[] = []
  const log = createLog('trace', { write: (line) => { logs.push(line) } })
  const configure = (more: Record<string, string>) => {
    const config = readConfig('serve', {
      NODE_ENV: 'test', DATABASE_URL: database.serviceUrl, KEYRING_FILE: keyringFile, DATABASE_POOL_SIZE: '5', WORK_IN_FLIGHT: '4000',
      INTERNAL_PORT: '0', PUBLIC_PORT: '0', OPERATIONS_PORT: '0', SHUTDOWN_SECONDS: '5', ...settings, ...more,
    })
    return { ...config, databaseUrl: config.databaseUrl ?? database.serviceUrl, keyringFile }
  }
  let vault: Vault | undefined = await startVault(configure({}), log)

  const withRooms: TestVault['withRooms'] = async (work) => {
    const rooms = await openRooms(configure({}), log)
    try {
      return await work(rooms)
    } finally {
      await rooms.close()
    }
  }
  const mint: TestVault['mint'] = async (grants) => await withRooms(async (rooms) => {
    const made = await rooms.access.tokens.create(
      { name: 'test', ...grants, workspaces: grants.workspaces ?? ['*'], environments: grants.environments ?? ['*'] },
      { by: 'test', record: async () => {} },
    )
    return made.token ?? ''
  })
  const token = await mint({ scopes: [...SCOPES] })

  const request: TestVault['request'] = async (method, path, options = {}) => {
    const body = options.raw ?? (options.body === undefined ? undefined : JSON.stringify(options.body))
    const response = await fetch(`${vault?.urls.internal ?? ''}${path}`, {
      method,
      redirect: 'manual',
      headers: {
        ...options.token !== null && { authorization: `Bearer ${options.token ?? token}` },
        ...body !== undefined && { 'content-type': 'application/json' },
        ...options.headers,
      },
      ...body !== undefined && { body: body as string },
    })
    const text = await response.text()
    const isJson = text !== '' && /json/.test(response.headers.get('content-type') ?? '')
    return { status: response.status, headers: response.headers, text, body: isJson ? JSON.parse(text) as unknown : undefined }
  }

  const stop = async () => {
    await vault?.close()
    vault = undefined
  }
  let made = 0
  return {
    get urls () { return vault?.urls ?? { internal: '', public: '', operations: '' } },
    database, keyringFile, token, logs, withRooms, mint, request, stop,
    connect: async (workspace, changes = {}) => {
      const answer = await request('POST', `/v1/workspaces/${workspace}/connections`, {
        body: { integration: 'stripe', environment: 'sandbox', name: `Stripe ${++made}`, credentials: { secret_key: STRIPE_KEY }, ...changes },
      })
      if (answer.status !== 201) throw new Error(`not connected: ${answer.text}`)
      return (answer.body as { id: string }).id
    },
    start: async (more = {}) => { vault = await startVault(configure(more), log) },
    close: async () => {
      await stop()
      await database.drop()
    },
  }
}

/** Waits for something that happens soon in the background. */
export async function eventually<T> (what: () => Promise<T | undefined | false>, patienceMs = 15_000): Promise<T> {
  const deadline = performance.now() + patienceMs
  for (;;) {
    const found = await what()
    if (found !== undefined && found !== false) return found
    if (performance.now() > deadline) throw new Error('it did not happen in time')
    await new Promise((resolve) => { setTimeout(resolve, 25) })
  }
}
