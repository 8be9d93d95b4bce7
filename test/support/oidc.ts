import { generateKeyPairSync, randomBytes } from 'node:crypto'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import Provider, { type Adapter, type AdapterPayload, type ClientMetadata, type Configuration, type KoaContextWithOIDC } from 'oidc-provider'

/** One request to the token endpoint, as the server judged it. */
export interface JudgedGrant {
  readonly grantType: string
  readonly refreshToken: string | undefined
  /** `invalid_grant` and the like; undefined when tokens were given. */
  readonly error: string | undefined
}

/** A real authorization server on loopback: code with PKCE, rotating refresh tokens (a second use ends the family), client credentials, revocation. */
export interface OidcServer {
  readonly url: string
  /** `host:port`, as the operator's list of exceptions has it. */
  readonly endpoint: string
  readonly authorizeUrl: string
  readonly tokenUrl: string
  readonly revokeUrl: string
  /** Requests that reached the token endpoint, whatever came of them. */
  tokenRequests (): number
  readonly grants: readonly JudgedGrant[]
  addClient (client: { id: string, secret: string, redirectUri: string, auth?: 'basic' | 'body' }): void
  /** Plays the person: signs in and consents, and gives the URL the browser ends at outside the server. */
  consent (authorizeUrl: string, cookies?: Map<string, string>): Promise<string>
  close (): Promise<void>
}

export interface OidcOptions {
  readonly accessTokenSeconds?: number
  readonly refreshTokenSeconds?: number
  readonly pkceRequired?: boolean
  readonly accountId?: string
}

let key: Record<string, unknown> | undefined

export async function startOidcProvider (options: OidcOptions = {}): Promise<OidcServer> {
  const server = createServer()
  await new Promise<void>((resolve) => { server.listen(0, '127.0.0.1', resolve) })
  const endpoint = `127.0.0.1:${(server.address() as AddressInfo).port}`
  const url = `http://${endpoint}`
  const rows = new Map<string, AdapterPayload>()
  const provider = new Provider(url, configure(options, rows))
  const grants: JudgedGrant[] = []
  const note = (ctx: KoaContextWithOIDC, error?: { error?: string }) => {
    const params = (ctx.oidc.params ?? ctx.oidc.body ?? {}) as Record<string, string | undefined>
    grants.push({ grantType: params['grant_type'] ?? '', refreshToken: params['refresh_token'], error: error && (error.error ?? 'unknown') })
  }
  provider.on('grant.success', note)
  provider.on('grant.error', note)

  let tokenRequests = 0
  const handle = provider.callback()
  server.on('request', (request: IncomingMessage, reply: ServerResponse) => {
    if (request.url === '/token') tokenRequests++
    if (request.url?.startsWith('/interaction/') === true) void interact(provider, { request, reply, accountId: options.accountId ?? 'person-1' })
    else void handle(request, reply)
  })

  return {
    url,
    endpoint,
    authorizeUrl: `${url}/auth`,
    tokenUrl: `${url}/token`,
    revokeUrl: `${url}/token/revocation`,
    tokenRequests: () => tokenRequests,
    grants,
    addClient: ({ id, secret, redirectUri, auth = 'basic' }) => {
      const client: ClientMetadata = {
        client_id: id,
        client_secret: secret,
        redirect_uris: [redirectUri],
        response_types: ['code'],
        grant_types: ['authorization_code', 'refresh_token', 'client_credentials'],
        token_endpoint_auth_method: auth === 'basic' ? 'client_secret_basic' : 'client_secret_post',
      }
      rows.set(`Client:${id}`, client)
    },
    consent: async (authorizeUrl, cookies = new Map()) => await browse(new URL(authorizeUrl), url, cookies),
    close: async () => {
      server.closeAllConnections()
      await new Promise((resolve) => { server.close(resolve) })
    },
  }
}

function configure (options: OidcOptions, rows: Map<string, AdapterPayload>): Configuration {
  key ??= { ...generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey.export({ format: 'jwk' }), use: 'sig', kid: 'test' }
  return {
    adapter: (model: string) => createAdapter(model, rows),
    jwks: { keys: [key] },
    cookies: { keys: [randomBytes(16).toString('hex')] },
    scopes: ['openid', 'offline_access', 'email'],
    findAccount: (_ctx, sub) => ({ accountId: sub, claims: () => ({ sub }) }),
    features: {
      devInteractions: { enabled: false },
      clientCredentials: { enabled: true },
      revocation: { enabled: true, allowedPolicy: (_ctx, client, token) => token.clientId === client.clientId },
    },
    interactions: { url: (_ctx, interaction) => `/interaction/${interaction.uid}` },
    pkce: { required: () => options.pkceRequired ?? true },
    issueRefreshToken: (_ctx, client) => client.grantTypeAllowed('refresh_token'),
    rotateRefreshToken: true,
    ttl: {
      AccessToken: options.accessTokenSeconds ?? 3_600,
      ClientCredentials: options.accessTokenSeconds ?? 3_600,
      RefreshToken: options.refreshTokenSeconds ?? 86_400,
      AuthorizationCode: 60,
      IdToken: 3_600,
      Grant: 86_400,
      Interaction: 600,
      Session: 86_400,
    },
  }
}

/** Signs in, then consents to all that is asked. */
async function interact (provider: Provider, browser: { request: IncomingMessage, reply: ServerResponse, accountId: string }): Promise<void> {
  const { request, reply, accountId } = browser
  const { prompt, session, params } = await provider.interactionDetails(request, reply)
  if (prompt.name === 'login') {
    await provider.interactionFinished(request, reply, { login: { accountId } })
    return
  }
  const grant = new provider.Grant({ accountId: session?.accountId ?? accountId, clientId: params['client_id'] as string })
  grant.addOIDCScope((params['scope'] as string | undefined) ?? '')
  await provider.interactionFinished(request, reply, { consent: { grantId: await grant.save() } }, { mergeWithLastSubmission: true })
}

/** Follows redirects with cookies until one leads away from the server. */
async function browse (start: URL, origin: string, cookies: Map<string, string>): Promise<string> {
  let at = start
  for (let hop = 0; hop < 10 && at.origin === origin; hop++) {
    const answer = await fetch(at, { redirect: 'manual', headers: { cookie: [...cookies].map(([name, value]) => `${name}=${value}`).join('; ') } })
    for (const line of answer.headers.getSetCookie()) {
      const [, name = '', value = ''] = /^([^=]+)=([^;]*)/.exec(line) ?? []
      if (value === '') cookies.delete(name)
      else cookies.set(name, value)
    }
    const location = answer.headers.get('location')
    if (location === null) throw new Error(`the authorization server answers ${answer.status}: ${await answer.text()}`)
    at = new URL(location, at)
  }
  return at.href
}

/** Rows in a map, so that servers in one process share nothing and clients can come later. */
export function createAdapter (model: string, rows: Map<string, AdapterPayload>): Adapter {
  const find = (fits: (row: AdapterPayload) => boolean) => [...rows].find(([name, row]) => name.startsWith(`${model}:`) && fits(row))?.[1]
  return {
    upsert: async (id, payload) => { rows.set(`${model}:${id}`, payload) },
    find: async (id) => rows.get(`${model}:${id}`),
    findByUid: async (uid) => find((row) => row.uid === uid),
    findByUserCode: async (code) => find((row) => row.userCode === code),
    consume: async (id) => {
      const row = rows.get(`${model}:${id}`)
      if (row !== undefined) row.consumed = Math.floor(Date.now() / 1_000)
    },
    destroy: async (id) => { rows.delete(`${model}:${id}`) },
    revokeByGrantId: async (grantId) => {
      for (const [name, row] of rows) if (name.startsWith(`${model}:`) && row.grantId === grantId) rows.delete(name)
    },
  }
}
