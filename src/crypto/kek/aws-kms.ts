import type { KMSClientConfig } from '@aws-sdk/client-kms'
import { isVaultError } from '../../errors.ts'
import { asKey, kekUnavailable, KeyringError, requireAnswer, within, type KekProvider, type KekTransport, type WrappedKey } from './provider.ts'

export interface KmsSettings {
  /** Instead of the region's public one: a VPC endpoint, or a stand-in. */
  readonly endpoint?: URL | undefined
}

const NAME = 'aws-kms'
const PREFIX = 'aws-kms:'
/** One attempt, and all of a call with its repeats and its search for credentials. */
const ATTEMPT_MS = 4_000
const DEADLINE_MS = 6_000
const ATTEMPTS = 3
const ANSWER_BYTES_MAX = 65_536
/** AWS KMS API reference, Decrypt: length constraints of CiphertextBlob. */
const CIPHERTEXT_BYTES_MAX = 6_144
/** The name under which the context stands in CloudTrail and in conditions of key policies. */
const CONTEXT = 'connection-vault-context'

const ARN = /^arn:aws[a-z-]*:kms:([a-z0-9-]+):\d{12}:key\/[A-Za-z0-9-]{1,64}$/

/** Wrapped by another key, for another context, or changed (AWS KMS API reference, Decrypt: errors). */
const NOT_OURS = ['InvalidCiphertextException', 'IncorrectKeyException']
/** What only somebody's hand can change. */
const TO_MEND: Readonly<Record<string, string>> = {
  NotFoundException: 'does not exist: check its ARN, account and region',
  InvalidArnException: 'is not the ARN of a KMS key',
  InvalidKeyUsageException: 'is not a symmetric encryption key: make one with the key spec SYMMETRIC_DEFAULT',
}

/**
 * KEKs in AWS KMS. A KEK's id is `aws-kms:<key ARN>`. The context goes as the encryption context:
 * it is authenticated, and CloudTrail shows it. Credentials come the SDK's own way (environment,
 * web identity, container, instance); the role needs kms:Encrypt, kms:Decrypt and kms:DescribeKey.
 * The SDK signs and repeats; what is sent goes through `transport`. A call takes 6 s at most.
 */
export async function openAwsKms (settings: KmsSettings, transport: KekTransport): Promise<KekProvider> {
  // Loaded only where it is used: it would take a tenth of a second of every start.
  const { DecryptCommand, DescribeKeyCommand, EncryptCommand, KMSClient } = await import('@aws-sdk/client-kms')
  const clients = new Map<string, InstanceType<typeof KMSClient>>()
  /** Each region has its own endpoint; the ARN says which. */
  const clientOf = (kekId: string) => {
    const [, region] = ARN.exec(arnOf(kekId)) ?? []
    if (region === undefined) throw new KeyringError(`${kekId} is not the ARN of a KMS key: aliases don't do, they can be pointed elsewhere`)
    const client = clients.get(region) ?? new KMSClient({
      region, maxAttempts: ATTEMPTS, requestHandler: handlerOf(transport), ...settings.endpoint !== undefined && { endpoint: settings.endpoint.href },
    })
    clients.set(region, client)
    return client
  }

  const ask = async <T>(kekId: string, work: (options: { abortSignal: AbortSignal }) => Promise<T>): Promise<T> => {
    try {
      return await within(NAME, DEADLINE_MS, async (abortSignal) => await work({ abortSignal }))
    } catch (error) {
      throw describe(error, kekId)
    }
  }
  const contextOf = (context: Uint8Array) => ({ [CONTEXT]: Buffer.from(context).toString('base64') })

  return Object.freeze({
    name: NAME,
    wrap: async (kekId: string, key: Uint8Array, context: Uint8Array) => await ask(kekId, async (options) => {
      const command = new EncryptCommand({ KeyId: arnOf(kekId), Plaintext: key, EncryptionContext: contextOf(context) })
      const { CiphertextBlob: wrapped } = await clientOf(kekId).send(command, options)
      if (wrapped === undefined || wrapped.length === 0) throw kekUnavailable(NAME, 'no_ciphertext')
      return Buffer.from(wrapped) as Buffer as WrappedKey
    }),
    unwrap: async (kekId: string, wrapped: WrappedKey, context: Uint8Array) => await ask(kekId, async (options) => {
      const client = clientOf(kekId)
      if (wrapped.length === 0 || wrapped.length > CIPHERTEXT_BYTES_MAX) return undefined
      try {
        const command = new DecryptCommand({ KeyId: arnOf(kekId), CiphertextBlob: wrapped, EncryptionContext: contextOf(context) })
        const { Plaintext: key, KeyId: usedKey } = await client.send(command, options)
        if (key === undefined) throw kekUnavailable(NAME, 'no_plaintext')
        const bytes = Buffer.from(key)
        key.fill(0)
        if (usedKey === arnOf(kekId)) return asKey(bytes)
        bytes.fill(0)
        return undefined
      } catch (error) {
        if (NOT_OURS.includes(nameOf(error))) return undefined
        throw error
      }
    }),
    health: async (kekId: string) => {
      await ask(kekId, async (options) => {
        const { KeyMetadata: key } = await clientOf(kekId).send(new DescribeKeyCommand({ KeyId: arnOf(kekId) }), options)
        if (key === undefined) throw kekUnavailable(NAME, 'no_key_metadata')
        if (key.KeySpec !== 'SYMMETRIC_DEFAULT') throw new KeyringError(`${kekId} ${TO_MEND['InvalidKeyUsageException'] ?? ''}`)
        if (key.KeyState === 'PendingDeletion' || key.KeyState === 'PendingReplicaDeletion') {
          throw new KeyringError(`${kekId} is going to be deleted, and with it everything sealed under it: cancel that (kms:CancelKeyDeletion) now`)
        }
        if (key.KeyState !== 'Enabled') throw kekUnavailable(NAME, `key_${key.KeyState ?? 'unknown'}`)
      })
    },
  })
}

function arnOf (kekId: string): string {
  return kekId.slice(PREFIX.length)
}

/** The SDK's errors hold requests and answers: only their names go further. */
function describe (error: unknown, kekId: string): Error {
  if (error instanceof KeyringError || isVaultError(error)) return error
  const name = nameOf(error)
  const mend = TO_MEND[name]
  if (mend !== undefined) return new KeyringError(`${kekId} ${mend}`)
  // A failure of the transport, which went through the SDK under a name that it repeats.
  const kind = error instanceof Error && 'kind' in error ? String(error.kind) : name
  return kekUnavailable(NAME, /^[A-Za-z_]{1,60}$/.test(kind) ? kind : 'unknown')
}

function nameOf (error: unknown): string {
  return error instanceof Error ? error.name : ''
}

/** As much of the SDK's requests as is needed (Smithy, “HTTP request handler”). */
interface SdkRequest {
  readonly method: string
  readonly protocol: string
  readonly hostname: string
  readonly port?: number
  readonly path: string
  readonly query?: Readonly<Record<string, string | readonly string[] | null>>
  readonly headers: Record<string, string>
  readonly body?: string | Uint8Array
}

function urlOf ({ protocol, hostname, port, path, query = {} }: SdkRequest): URL {
  const url = new URL(`${protocol}//${hostname}${port === undefined ? '' : `:${port}`}${path}`)
  for (const [name, values] of Object.entries(query)) {
    for (const value of [values ?? ''].flat()) url.searchParams.append(name, value)
  }
  return url
}

/** A view, for `Buffer.from` would take the SDK's bytes for text: a key would stay behind as a string. */
function bytesOf (body: string | Uint8Array): Buffer {
  return typeof body === 'string' ? Buffer.from(body) : Buffer.from(body.buffer, body.byteOffset, body.byteLength)
}

/** The transport as the SDK wants it. */
function handlerOf (transport: KekTransport): NonNullable<KMSClientConfig['requestHandler']> {
  const handle = async (request: SdkRequest, options?: { abortSignal?: unknown }) => {
    const answer = await transport({
      method: request.method,
      url: urlOf(request),
      headers: request.headers,
      ...request.body !== undefined && { body: bytesOf(request.body) },
      timeoutMs: ATTEMPT_MS,
      maxResponseBytes: ANSWER_BYTES_MAX,
      ...options?.abortSignal instanceof AbortSignal && { signal: options.abortSignal },
    })
    // The SDK repeats what failed under this name.
    if (answer.kind !== 'answer' && answer.kind !== 'blocked') throw Object.assign(new Error(answer.kind), { name: 'TimeoutError', kind: answer.kind })
    const { status, headers, body } = requireAnswer(NAME, answer)
    return { response: { statusCode: status, headers: { ...headers }, body } }
  }
  return { handle } as NonNullable<KMSClientConfig['requestHandler']>
}
