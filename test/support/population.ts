import { encodeBase32, formatId, type Environment, type VersionId, type ConnectionId, type WorkspaceId } from '../../src/ids.ts'

/** Somebody else's connections: many workspaces, a few of them large, most small, as customers are. */
export interface Individual {
  readonly workspaceId: WorkspaceId
  readonly connectionId: ConnectionId
  readonly versionId: VersionId
  readonly environment: Environment
  readonly integration: string
  readonly auth: string
  readonly hosts: readonly string[]
  readonly fields: Readonly<Record<string, string>>
  readonly previews: Readonly<Record<string, string>>
  readonly name: string
  readonly labels: Readonly<Record<string, string>>
  readonly health: 'active' | 'needs_reauth' | 'error'
  readonly disabled: boolean
  readonly createdAt: Date
  readonly expiresOn: string | null
  /** Of those that were linked. */
  readonly grant: { readonly accountId: string, readonly holder: string, readonly tokenExpiresAt: Date, readonly nextRefreshAt: Date | null } | undefined
  readonly used: boolean
  readonly referred: boolean
}

/** An integration that the catalog does not have unless it is given one: nobody renews tokens of it at a real provider. */
export const LINKED = { integration: 'seeded_tokens', auth: 'oauth', host: '127.0.0.1:1' } as const

interface Kind {
  readonly integration: string
  readonly auth: string
  readonly hosts: readonly string[]
  fields (body: string, environment: Environment): Record<string, string>
}

const joined = (...parts: string[]) => parts.join('')

/** A quarter were linked in a browser; the others are keys that people pasted. */
const KINDS: readonly Kind[] = [
  { integration: LINKED.integration, auth: LINKED.auth, hosts: [LINKED.host], fields: (body) => ({ access_token: `at.${body.repeat(3)}`, refresh_token: `rt.${body.repeat(2)}` }) },
  { integration: 'stripe', auth: 'api_key', hosts: ['api.stripe.com'], fields: (body, environment) => ({ secret_key: joined('sk', environment === 'live' ? '_live_' : '_test_', body.repeat(2)) }) },
  { integration: 'openai', auth: 'api_key', hosts: ['api.openai.com'], fields: (body) => ({ api_key: joined('sk', '-proj-', body.repeat(3)) }) },
  { integration: 'github', auth: 'personal_access_token', hosts: ['api.github.com'], fields: (body) => ({ personal_access_token: joined('ghp', '_', body) }) },
]

const DAY_MS = 86_400_000
const TEAMS = 50

/** The n-th of a population: the same number is always the same one, but for its times and the random bits of its ids. */
export function describe (n: number, of: { workspaces: number, now: number }): Individual {
  const chance = dice(n)
  const workspaceId = workspaceName(Math.floor(of.workspaces * chance() ** 2.5))
  const environment: Environment = chance() < 0.7 ? 'live' : 'sandbox'
  const kind = KINDS[Math.floor(chance() * KINDS.length)] as Kind
  const createdAt = new Date(of.now - chance() * 730 * DAY_MS)
  const body = encodeBase32(bytesOf(chance, 15))
  const fields = kind.fields(body, environment)
  const linked = kind.integration === LINKED.integration
  const state = chance()
  const labels = { ...chance() < 0.6 && { team: `team-${Math.floor(chance() * TEAMS)}` }, ...chance() < 0.3 && { customer: `c${n}` } }
  return {
    workspaceId, environment, createdAt, integration: kind.integration, auth: kind.auth, hosts: kind.hosts, fields, labels,
    connectionId: formatId('connection', idAt(createdAt)),
    versionId: formatId('version', idAt(createdAt)),
    name: `${kind.integration} of customer ${n}`,
    previews: Object.fromEntries(Object.entries(fields).map(([name, value]) => [name, `${value.slice(0, 4)}…${value.slice(-4)}`])),
    health: state < 0.01 ? 'needs_reauth' : state < 0.012 ? 'error' : 'active',
    disabled: state > 0.99,
    expiresOn: !linked && chance() < 0.02 ? new Date(of.now + chance() * 365 * DAY_MS).toISOString().slice(0, 10) : null,
    grant: linked ? grantOf(n, of.now, chance) : undefined,
    used: chance() < 0.6,
    referred: chance() < 0.3,
  }
}

/** Tokens of an hour; one in two hundred is due now, the others within the hour. */
function grantOf (n: number, now: number, chance: () => number): NonNullable<Individual['grant']> {
  const dueInMs = chance() < 0.005 ? -60_000 * chance() : 3_000_000 * chance()
  return { accountId: `acct_${n}`, holder: `person_${n}`, tokenExpiresAt: new Date(now + dueInMs + 600_000), nextRefreshAt: new Date(now + dueInMs) }
}

export function workspaceName (index: number): WorkspaceId {
  return `seed_${String(index).padStart(7, '0')}` as WorkspaceId
}

/** The bytes of a UUIDv7 (RFC 9562, 5.7) of that time. */
function idAt (time: Date): Uint8Array {
  const bytes = crypto.getRandomValues(Buffer.alloc(16))
  bytes.writeUIntBE(time.getTime(), 0, 6)
  bytes[6] = (bytes.readUInt8(6) & 0x0f) | 0x70
  bytes[8] = (bytes.readUInt8(8) & 0x3f) | 0x80
  return bytes
}

function bytesOf (chance: () => number, length: number): Uint8Array {
  return Uint8Array.from({ length }, () => Math.floor(chance() * 256))
}

/** SplitMix32 (Steele, Lea, Flood: Fast splittable pseudorandom number generators): fair enough, and the same everywhere. */
function dice (seed: number): () => number {
  let state = Math.imul(seed + 1, 0x9e3779b1)
  return () => {
    state = (state + 0x9e3779b9) | 0
    let mixed = state ^ (state >>> 16)
    mixed = Math.imul(mixed, 0x21f0aaad)
    mixed ^= mixed >>> 15
    mixed = Math.imul(mixed, 0x735a2d97)
    return ((mixed ^ (mixed >>> 15)) >>> 0) / 2 ** 32
  }
}
