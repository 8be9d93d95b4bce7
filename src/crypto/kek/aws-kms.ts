import type { KMSClientConfig } from '@aws-sdk/client-kms'
import { kekUnavailable, KeyringError, type KekAnswer, type KekProvider, type KekTransport, type WrappedKey } from './provider.ts'

export interface KmsSettings {
  /** Instead of the region's public one: a VPC endpoint, or a stand-in. */
  readonly endpoint?: URL | undefined
}

const NAME = 'aws-kms'
const PREFIX = 'aws-kms:'
const TIMEOUT_MS = 2_000
const ATTEMPTS = 3
const ANSWER_BYTES_MAX = 65_536
/** The name under which the context stands in CloudTrail and in conditions of key policies. */
const CONTEXT = 'connection-vault-context'

const ARN = /^arn:aws[a-z-]*:kms:([a-z0-9-]+):\d{12}:key\/[A-Za-z0-9-]{1,64}$/

/** Wrapped by another key, for another context, or changed (AWS KMS API reference, Decrypt: errors). */
const NOT_OURS = ['InvalidCiphertextException', 'IncorrectKeyException']

/**
 * KEKs in AWS KMS. A KEK's id is `aws-kms:<key ARN>`. The context goes as the encryption context:
 * it is authenticated, and CloudTrail shows it. Credentials come the SDK's own way (environment,
 * web identity, container, instance); the role needs kms:Encrypt, kms:Decrypt and kms:DescribeKey.
 * The SDK signs and repeats; what is sent goes through `transport`.
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

  const ask = async <T>(kekId: string, work: () => Promise<T>): Promise<T> => {
    try {
      return await work()
    } catch (error) {
      throw describe(error, kekId)
    }
  }
  const contextOf = (context: Uint8Array) => ({ [CONTEXT]: Buffer.from(context).toString('base64') })

  return Object.freeze({
    name: NAME,
    wrap: async (kekId: string, key: Uint8Array, context: Uint8Array) => await ask(kekId, async () => {
      const command = new EncryptCommand({ KeyId: arnOf(kekId), Plaintext: key, EncryptionContext: contextOf(context) })
      const { CiphertextBlob: wrapped } = await clientOf(kekId).send(command)
      if (wrapped === undefined) throw kekUnavailable(NAME, 'no_ciphertext')
      return Buffer.from(wrapped) as Buffer as WrappedKey
    }),
    unwrap: async (kekId: string, wrapped: WrappedKey, context: Uint8Array) => await ask(kekId, async () => {
      try {
        const command = new DecryptCommand({ KeyId: arnOf(kekId), CiphertextBlob: wrapped, EncryptionContext: contextOf(context) })
        const { Plaintext: key } = await clientOf(kekId).send(command)
        if (key === undefined) throw kekUnavailable(NAME, 'no_plaintext')
        const bytes = Buffer.from(key)
        key.fill(0)
        return bytes
      } catch (error) {
        if (NOT_OURS.includes(nameOf(error))) return undefined
        throw error
      }
    }),
    health: async (kekId: string) => {
      await ask(kekId, async () => {
        const { KeyMetadata: key } = await clientOf(kekId).send(new DescribeKeyCommand({ KeyId: arnOf(kekId) }))
        if (key?.KeySpec !== 'SYMMETRIC_DEFAULT') throw new KeyringError(`${kekId} is not a symmetric encryption key: make one with the key spec SYMMETRIC_DEFAULT`)
        if (key.KeyState === 'PendingDeletion') throw new KeyringError(`${kekId} is going to be deleted, and with it everything sealed under it: cancel that (kms:CancelKeyDeletion) now`)
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
  const name = nameOf(error)
  if (name === 'NotFoundException') return new KeyringError(`${kekId} does not exist: check its ARN, account and region`)
  if (error instanceof KeyringError || (error instanceof Error && 'code' in error && error.code === 'kek_unavailable')) return error
  return kekUnavailable(NAME, /^[A-Za-z]{1,60}$/.test(name) ? name : 'unknown')
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
  readonly headers: Record<string, string>
  readonly body?: string | Uint8Array
}

/** The transport as the SDK wants it. */
function handlerOf (transport: KekTransport): NonNullable<KMSClientConfig['requestHandler']> {
  const handle = async (request: SdkRequest, options?: { abortSignal?: unknown }) => {
    const port = request.port === undefined ? '' : `:${request.port}`
    const answer = await transport({
      method: request.method,
      url: new URL(`${request.protocol}//${request.hostname}${port}${request.path}`),
      headers: request.headers,
      ...request.body !== undefined && { body: Buffer.from(request.body) },
      timeoutMs: TIMEOUT_MS,
      maxResponseBytes: ANSWER_BYTES_MAX,
      ...options?.abortSignal instanceof AbortSignal && { signal: options.abortSignal },
    })
    // The SDK repeats what failed under this name.
    if (answer.kind !== 'answer') throw Object.assign(new Error(answer.kind), { name: 'TimeoutError' })
    const { status, headers, body } = answer as KekAnswer
    return { response: { statusCode: status, headers: { ...headers }, body } }
  }
  return { handle } as NonNullable<KMSClientConfig['requestHandler']>
}
