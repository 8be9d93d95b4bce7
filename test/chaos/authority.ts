import { createHash } from 'node:crypto'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import Provider from 'oidc-provider'
import { createAdapter } from '../support/oidc.ts'

/**
 * A real authorization server in a process of its own, with rotating refresh tokens whose second
 * use ends the family, behind a line that misbehaves. Told by its parent what to seed and how to
 * behave; tells it every token request.
 */
export interface Behaviour {
  /** Shares of all token requests. */
  readonly error500: number
  readonly html502: number
  /** Processed, and the line is cut. */
  readonly cut: number
  /** Twenty seconds go by before it is processed, or after. */
  readonly stallBefore: number
  readonly stallAfter: number
}

export type Told =
  | { readonly tell: 'seed', readonly count: number, readonly accessSeconds: number, readonly clientSecret: string }
  | { readonly tell: 'behave', readonly behaviour: Behaviour, readonly seed: number }
  | { readonly tell: 'issue', readonly account: string }

/** One token request with a refresh token. */
export interface Sent {
  readonly say: 'sent'
  readonly atMs: number
  readonly account: string
  readonly tokenHash: string
  readonly act: keyof Behaviour | 'none'
  readonly spentBefore: boolean
}

export type Said = Sent | { readonly say: 'ready', readonly url: string } | { readonly say: 'seeded', readonly grants: readonly { access: string, refresh: string }[] }

const STALL_MS = 20_000
const CLIENT_ID = 'vault'
const SCOPE = 'email'

/** Seeded, so that a run can be told apart from luck (mulberry32). */
export function createRandom (seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6D2B79F5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

const say = (said: Said) => { process.send?.(said) }
const state: { provider?: Provider, random: () => number, behaviour: Behaviour | undefined } = { random: Math.random, behaviour: undefined }

const server = createServer((request, reply) => { void serve(request, reply) })
server.listen(0, '127.0.0.1', () => { say({ say: 'ready', url: `http://127.0.0.1:${(server.address() as AddressInfo).port}` }) })
process.on('message', (told: Told) => { void obey(told) })
process.on('disconnect', () => { process.exit() })

async function obey (told: Told): Promise<void> {
  if (told.tell === 'behave') {
    state.behaviour = told.behaviour
    state.random = createRandom(told.seed)
  }
  if (told.tell === 'seed') say({ say: 'seeded', grants: await seed(told) })
}

async function seed ({ count, accessSeconds, clientSecret }: Extract<Told, { tell: 'seed' }>): Promise<{ access: string, refresh: string }[]> {
  const rows = new Map()
  const { port } = server.address() as AddressInfo
  const provider = new Provider(`http://127.0.0.1:${port}`, {
    adapter: (model: string) => createAdapter(model, rows),
    clients: [{
      client_id: CLIENT_ID, client_secret: clientSecret, redirect_uris: ['https://vault.example/callback'], response_types: ['code'],
      grant_types: ['authorization_code', 'refresh_token'], token_endpoint_auth_method: 'client_secret_basic',
    }],
    cookies: { keys: ['chaos'] },
    scopes: [SCOPE],
    findAccount: (_ctx, sub) => ({ accountId: sub, claims: () => ({ sub }) }),
    features: { devInteractions: { enabled: false } },
    issueRefreshToken: () => true,
    rotateRefreshToken: true,
    ttl: { AccessToken: accessSeconds, RefreshToken: 86_400, Grant: 86_400, AuthorizationCode: 60, IdToken: 60, Interaction: 60, Session: 60 },
  })
  state.provider = provider
  const client = await provider.Client.find(CLIENT_ID)
  if (client === undefined) throw new Error('the client is not there')
  const grants: { access: string, refresh: string }[] = []
  for (let index = 0; index < count; index++) {
    const accountId = `account-${index}`
    const grant = new provider.Grant({ accountId, clientId: CLIENT_ID })
    grant.addOIDCScope(SCOPE)
    const of = { accountId, client, grantId: await grant.save(), scope: SCOPE, gty: 'authorization_code', expiresWithSession: false, claims: {} }
    const refresh = new provider.RefreshToken(of)
    const access = new provider.AccessToken(of)
    grants.push({ refresh: await refresh.save(), access: await access.save() })
  }
  return grants
}

async function serve (request: IncomingMessage, reply: ServerResponse): Promise<void> {
  const { provider } = state
  if (request.url === '/me') {
    reply.writeHead(200, { 'content-type': 'application/json' }).end('{"ok":true}')
    return
  }
  if (provider === undefined || request.url !== '/token') {
    reply.writeHead(404).end()
    return
  }
  const chunks: Buffer[] = []
  for await (const chunk of request) chunks.push(chunk as Buffer)
  const body = Buffer.concat(chunks).toString()
  const act = choose()
  await note(provider, body, act)
  if (act === 'error500') { reply.writeHead(500, { 'content-type': 'application/json' }).end('{"error":"server_error"}'); return }
  if (act === 'html502') { reply.writeHead(502, { 'content-type': 'text/html' }).end('<h1>Bad Gateway</h1>'); return }
  if (act === 'stallBefore') await stall()
  await handOn(provider, { request, reply, body }, act)
}

/** The request as the library gets it, with the body that was read already; its answer may be held back or cut. */
async function handOn (provider: Provider, { request, reply, body }: { request: IncomingMessage, reply: ServerResponse, body: string }, act: Sent['act']): Promise<void> {
  const end = reply.end.bind(reply)
  if (act === 'cut') reply.end = ((..._args: unknown[]) => { reply.socket?.resetAndDestroy(); return reply }) as typeof reply.end
  if (act === 'stallAfter') {
    reply.end = ((...args: Parameters<typeof end>) => {
      void stall().then(() => { end(...args) })
      return reply
    }) as typeof reply.end
  }
  Object.assign(request, { body: Object.fromEntries(new URLSearchParams(body)) })
  await provider.callback()(request, reply)
}

function choose (): Sent['act'] {
  const { behaviour, random } = state
  let left = random()
  for (const [act, share] of Object.entries(behaviour ?? {}) as [keyof Behaviour, number][]) {
    if (left < share) return act
    left -= share
  }
  return 'none'
}

async function note (provider: Provider, body: string, act: Sent['act']): Promise<void> {
  const value = new URLSearchParams(body).get('refresh_token')
  if (value === null) return
  const token = await provider.RefreshToken.find(value, { ignoreExpiration: true })
  say({
    say: 'sent', atMs: Date.now(), account: token?.accountId ?? 'unknown', tokenHash: createHash('sha256').update(value).digest('base64url').slice(0, 16), act,
    spentBefore: token === undefined || token.consumed !== undefined,
  })
}

async function stall (): Promise<void> {
  await new Promise((resolve) => { setTimeout(resolve, STALL_MS) })
}
