import { V7Generator } from 'uuidv7'

/**
 * Ids are a prefix that tells the kind and a UUIDv7 (RFC 9562) in 26 characters of Crockford's
 * base32, lower case: they sort by creation time as text.
 */
const PREFIXES = {
  connection: 'conn', version: 'ver', invocation: 'inv', token: 'tok', audit: 'aud', batch: 'bat', key: 'key', request: 'req',
  app: 'app', session: 'cs', revocation: 'rev', event: 'evt', webhook: 'wh', integration: 'int', group: 'grp', agent: 'agt',
} as const

export type IdKind = keyof typeof PREFIXES
export type Id<K extends IdKind> = string & { readonly __id: K }
export type ConnectionId = Id<'connection'>
export type VersionId = Id<'version'>
export type InvocationId = Id<'invocation'>
export type TokenId = Id<'token'>
export type KeyId = Id<'key'>
export type AppId = Id<'app'>
export type SessionId = Id<'session'>
export type RevocationId = Id<'revocation'>
export type EventId = Id<'event'>
export type WebhookId = Id<'webhook'>
/** Of agents that serve one queue. */
export type GroupId = Id<'group'>
export type AgentId = Id<'agent'>
/** Of a workspace's own; those that every workspace has are words without this prefix. */
export type IntegrationId = Id<'integration'>

/** The host product's own id of a tenant: opaque, compared exactly. */
export type WorkspaceId = string & { readonly __id: 'workspace' }

/** Whose an OAuth app is: a workspace's, or with an empty text, which is no workspace's id, the vault's own. */
export type AppOwner = WorkspaceId | typeof GLOBAL_OWNER
export const GLOBAL_OWNER = ''

/** Whether a text can be the id of a workspace. */
export function isWorkspaceId (text: string): text is WorkspaceId {
  return /^[A-Za-z0-9_-]{1,64}$/.test(text)
}

export type Environment = 'sandbox' | 'live'
export const ENVIRONMENTS: readonly Environment[] = ['sandbox', 'live']

const ALPHABET = '0123456789abcdefghjkmnpqrstvwxyz'
/** Of each character, by its code. */
const VALUES = new Uint8Array(128)
for (const [value, char] of [...ALPHABET].entries()) VALUES[char.charCodeAt(0)] = value
const BODY_LENGTH = 26

// The system's generator is asked for a page at a time: a call for each number costs more than the id.
const random = new Uint32Array(1_024)
let used = random.length
const generator = new V7Generator({
  nextUint32: () => {
    if (used === random.length) {
      crypto.getRandomValues(random)
      used = 0
    }
    return random[used++] ?? 0
  },
})

/** A new id of this kind. Ids made by one process in one millisecond still ascend. */
export function newId<K extends IdKind> (kind: K): Id<K> {
  return formatId(kind, generator.generate().bytes)
}

/** The id of this kind whose 16 bytes these are. */
export function formatId<K extends IdKind> (kind: K, bytes: Uint8Array): Id<K> {
  return `${PREFIXES[kind]}_${encodeBase32(bytes)}` as Id<K>
}

/** The 16 bytes of an id. Throws a TypeError for anything that is not an id of this kind. */
export function idBytes (kind: IdKind, id: string): Uint8Array {
  if (!isId(kind, id)) throw new TypeError(`not an id of kind ${kind}`)
  const bytes = new Uint8Array(16)
  // From its end: the padding is at the front.
  let [pending, pendingBits, at] = [0, 0, bytes.length - 1]
  for (let from = id.length - 1; at >= 0; from--) {
    pending |= (VALUES[id.charCodeAt(from)] ?? 0) << pendingBits
    pendingBits += 5
    if (pendingBits < 8) continue
    bytes[at--] = pending & 0xff
    pending >>>= 8
    pendingBits -= 8
  }
  return bytes
}

export function isId<K extends IdKind> (kind: K, value: string): value is Id<K> {
  return idPattern(kind).test(value)
}

/** For schemas and edge checks; the first character holds only the top three bits. */
export function idPattern (kind: IdKind): RegExp {
  return PATTERNS[kind]
}

const PATTERNS = Object.freeze(Object.fromEntries(Object.entries(PREFIXES).map(([kind, prefix]) =>
  [kind, new RegExp(`^${prefix}_[0-7][${ALPHABET}]{${BODY_LENGTH - 1}}$`)])) as Record<IdKind, RegExp>)

/** Text for a base32 body of any length: five bits a character, the first one padded on its left. */
export function encodeBase32 (bytes: Uint8Array): string {
  const length = Math.ceil(bytes.length * 8 / 5)
  let text = ''
  let pending = 0
  let pendingBits = length * 5 - bytes.length * 8
  for (const byte of bytes) {
    pending = (pending << 8) | byte
    pendingBits += 8
    while (pendingBits >= 5) {
      pendingBits -= 5
      text += ALPHABET[(pending >>> pendingBits) & 31]
    }
    pending &= (1 << pendingBits) - 1
  }
  return text
}

/** The same of 32 bits. */
export function encodeBase32Word (word: number): string {
  let text = ''
  for (let shift = 30; shift >= 0; shift -= 5) text += ALPHABET[(word >>> shift) & 31]
  return text
}
