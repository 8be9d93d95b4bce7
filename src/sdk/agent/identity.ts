import { createPrivateKey, generateKeyPairSync, sign, type KeyObject } from 'node:crypto'
import { rename, writeFile } from 'node:fs/promises'
import { AgentError } from './action.ts'
import { readPrivateFile } from './credentials.ts'

/** Who the agent is: its keys, and the name the vault has given it. */
export interface Identity {
  /** Undefined until it is enrolled. */
  readonly agentId: string | undefined
  /** Ed25519, 32 bytes in base64url. */
  readonly publicKey: string
  /** X25519, 32 bytes in base64url: what callers encrypt to. */
  readonly encryptionKey: string
  /** As a JWK (RFC 8037), for decryption. */
  readonly encryptionJwk: { readonly kty: string, readonly crv: string, readonly x: string, readonly d: string }
  signChallenge (challenge: string): string
}

interface Stored {
  readonly format: 1
  readonly agent_id?: string
  readonly signing: StoredKey
  readonly encryption: StoredKey
}

interface StoredKey {
  readonly kty: 'OKP'
  readonly crv: 'Ed25519' | 'X25519'
  readonly x: string
  readonly d: string
}

/** Reads an identity, or makes one. Throws an AgentError when the file is none, or others can read it. */
export async function openIdentity (path: string): Promise<Identity> {
  const text = await readPrivateFile(path).catch((error: unknown) => {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error instanceof AgentError ? error : new AgentError(2, `${path} can't be read`, { cause: error })
  })
  if (text !== undefined) return toIdentity(parseStored(path, text))
  const stored: Stored = { format: 1, signing: newKey('ed25519'), encryption: newKey('x25519') }
  await store(path, stored)
  return toIdentity(stored)
}

/** Writes down the name that the vault has given. */
export async function noteEnrolled (path: string, agentId: string): Promise<Identity> {
  const stored = { ...parseStored(path, await readPrivateFile(path)), agent_id: agentId }
  await store(path, stored)
  return toIdentity(stored)
}

/** Replaced in one step: a process that dies in between leaves the old one. */
async function store (path: string, stored: Stored): Promise<void> {
  const beside = `${path}.${process.pid}.tmp`
  await writeFile(beside, `${JSON.stringify(stored, undefined, 2)}\n`, { mode: 0o600 })
  await rename(beside, path)
}

function parseStored (path: string, text: string): Stored {
  try {
    const stored = JSON.parse(text) as Stored
    createPrivateKey({ key: { ...stored.signing }, format: 'jwk' })
    createPrivateKey({ key: { ...stored.encryption }, format: 'jwk' })
    return stored
  } catch {
    throw new AgentError(2, `${path} is no identity of an agent`)
  }
}

function newKey (type: 'ed25519' | 'x25519'): StoredKey {
  // The two calls differ for the types alone.
  const { privateKey } = type === 'ed25519' ? generateKeyPairSync('ed25519') : generateKeyPairSync('x25519')
  return privateKey.export({ format: 'jwk' }) as unknown as StoredKey
}

function toIdentity (stored: Stored): Identity {
  const { signing, encryption } = stored
  const key: KeyObject = createPrivateKey({ key: { ...signing }, format: 'jwk' })
  return Object.freeze({
    agentId: stored.agent_id,
    publicKey: signing.x,
    encryptionKey: encryption.x,
    encryptionJwk: encryption,
    signChallenge: (challenge: string) => sign(null, Buffer.from(`connection-vault agent token 1\n${challenge}`), key).toString('base64url'),
  })
}
