import { createCipheriv, createDecipheriv, createHash, createHmac, randomBytes, randomUUID } from 'node:crypto'
import type { ServerResponse } from 'node:http'
import { startProvider, type Received } from './provider.ts'
import { createTroubles, type Troubles } from './troubles.ts'

/**
 * AWS KMS on loopback: JSON 1.1 as its API reference has it (Encrypt, Decrypt, DescribeKey), signed
 * with Signature Version 4, which is verified to the last bit. Ciphertexts are bound to the
 * encryption context as KMS binds them: it is the additional authenticated data.
 */
export const KMS_ACCESS_KEY = 'AKIAIOSFODNN7EXAMPLE'
export const KMS_SECRET_KEY = 'wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY'
const ACCOUNT = '111122223333'

/** Credentials as operators give them, in this process's environment; and the SDK looks for none on the network. */
export function provideAwsCredentials (): void {
  Object.assign(process.env, {
    AWS_ACCESS_KEY_ID: KMS_ACCESS_KEY, AWS_SECRET_ACCESS_KEY: KMS_SECRET_KEY, AWS_EC2_METADATA_DISABLED: 'true',
    AWS_CONFIG_FILE: '/dev/null', AWS_SHARED_CREDENTIALS_FILE: '/dev/null',
  })
}

export interface KmsKey {
  state: 'Enabled' | 'Disabled' | 'PendingDeletion' | 'PendingImport' | 'Unavailable'
  spec: string
  material: Buffer
}

export interface Kms {
  readonly url: string
  readonly endpoint: string
  readonly received: Received[]
  readonly troubles: Troubles<KmsTrouble>
  /** What was asked for, refused or not. */
  readonly calls: { readonly action: string, readonly keyId: string, readonly context: Record<string, string> | undefined }[]
  /** Answers the ARN of a new key. */
  makeKey (region?: string): string
  key (arn: string): KmsKey
  setReachable (reachable: boolean): Promise<void>
  close (): Promise<void>
}

type KmsTrouble = 'throttled' | 'internal' | 'denied' | 'expired_token' | 'short_plaintext' | 'long_plaintext' | 'other_key' | 'no_plaintext' | 'no_ciphertext'

class KmsError extends Error {
  readonly status: number
  constructor (name: string, message: string, status = 400) {
    super(message)
    this.name = name
    this.status = status
  }
}

interface Input { KeyId?: string, Plaintext?: string, CiphertextBlob?: string, EncryptionContext?: Record<string, string> }

export async function startKms (): Promise<Kms> {
  const keys = new Map<string, KmsKey>()
  const calls: Kms['calls'] = []
  const plaintextOf = (bytes: Buffer, keyId?: string) => (reply: ServerResponse) => {
    send(reply, 200, { KeyId: keyId ?? calls.at(-1)?.keyId, Plaintext: bytes.toString('base64'), EncryptionAlgorithm: 'SYMMETRIC_DEFAULT' })
  }
  const troubles = createTroubles<KmsTrouble>({
    throttled: (reply) => { fail(reply, new KmsError('ThrottlingException', 'You have exceeded the rate at which you may call KMS. Reduce the frequency of your calls.')) },
    internal: (reply) => { fail(reply, new KmsError('KMSInternalException', 'An internal error occurred', 500)) },
    denied: (reply) => { fail(reply, new KmsError('AccessDeniedException', `User: arn:aws:iam::${ACCOUNT}:user/vault is not authorized to perform: kms:Decrypt on this resource`)) },
    expired_token: (reply) => { fail(reply, new KmsError('ExpiredTokenException', 'The security token included in the request is expired')) },
    short_plaintext: (reply) => { plaintextOf(Buffer.alloc(16, 7))(reply) },
    long_plaintext: (reply) => { plaintextOf(Buffer.alloc(64, 7))(reply) },
    other_key: (reply) => { plaintextOf(Buffer.alloc(32, 7), `arn:aws:kms:eu-central-1:${ACCOUNT}:key/another`)(reply) },
    no_plaintext: (reply) => { send(reply, 200, {}) },
    no_ciphertext: (reply) => { send(reply, 200, { CiphertextBlob: '' }) },
  })

  const answer = (received: Received, action: string, input: Input): object => {
    const region = /:kms:([^:]+):/.exec(input.KeyId ?? '')?.[1] ?? ''
    requireSignature(received, region)
    if (received.headers['content-type'] !== 'application/x-amz-json-1.1') throw new KmsError('SerializationException', 'wrong content type')
    const key = keys.get(input.KeyId ?? '')
    if (key === undefined) throw new KmsError('NotFoundException', `Key '${input.KeyId}' does not exist`)
    switch (action) {
      case 'DescribeKey': return describe(input.KeyId ?? '', key)
      case 'Encrypt': return encrypt(input, key)
      case 'Decrypt': return decrypt(input, keys)
      default: throw new KmsError('UnknownOperationException', '')
    }
  }
  const provider = await startProvider(async (received, reply) => {
    try {
      const action = /^TrentService\.(\w+)$/.exec(String(received.headers['x-amz-target']))?.[1] ?? ''
      const input = JSON.parse(received.body) as Input
      calls.push({ action, keyId: input.KeyId ?? '', context: input.EncryptionContext })
      if (!await troubles.befall(reply)) send(reply, 200, answer(received, action, input))
    } catch (error) {
      fail(reply, error)
    }
  })
  return {
    url: provider.url,
    endpoint: provider.endpoint,
    received: provider.received,
    troubles,
    calls,
    makeKey: (region = 'eu-central-1') => {
      const arn = `arn:aws:kms:${region}:${ACCOUNT}:key/${randomUUID()}`
      keys.set(arn, { state: 'Enabled', spec: 'SYMMETRIC_DEFAULT', material: randomBytes(32) })
      return arn
    },
    key: (arn) => {
      const key = keys.get(arn)
      if (key === undefined) throw new Error(`no key ${arn}`)
      return key
    },
    setReachable: provider.setReachable,
    close: provider.close,
  }
}

function send (reply: ServerResponse, status: number, body: object): void {
  reply.writeHead(status, { 'content-type': 'application/x-amz-json-1.1', 'x-amzn-requestid': randomUUID() }).end(JSON.stringify(body))
}

function fail (reply: ServerResponse, error: unknown): void {
  const known = error instanceof KmsError ? error : new KmsError('KMSInternalException', String(error), 500)
  send(reply, known.status, { __type: known.name, message: known.message })
}

function describe (arn: string, key: KmsKey): object {
  const [, , , region, account, resource = ''] = arn.split(':')
  return {
    KeyMetadata: {
      AWSAccountId: account, Arn: arn, KeyId: resource.slice('key/'.length), CreationDate: 1_700_000_000, Description: region, Enabled: key.state === 'Enabled', KeyState: key.state,
      KeyManager: 'CUSTOMER', KeySpec: key.spec, CustomerMasterKeySpec: key.spec, KeyUsage: 'ENCRYPT_DECRYPT', Origin: 'AWS_KMS', MultiRegion: false, EncryptionAlgorithms: ['SYMMETRIC_DEFAULT'],
    },
  }
}

function requireUsable (arn: string, { state, spec }: KmsKey): void {
  if (spec !== 'SYMMETRIC_DEFAULT') throw new KmsError('InvalidKeyUsageException', `${arn} key usage is GENERATE_VERIFY_MAC which is not valid for Encrypt.`)
  if (state === 'Disabled') throw new KmsError('DisabledException', `${arn} is disabled.`)
  if (state === 'Unavailable') throw new KmsError('KeyUnavailableException', `${arn} is unavailable.`, 500)
  if (state !== 'Enabled') throw new KmsError('KMSInvalidStateException', `${arn} is pending deletion.`)
}

/** Pairs in the order of their names: KMS authenticates the set, not the order. */
function aadOf (context: Record<string, string> = {}): Buffer {
  return Buffer.from(JSON.stringify(Object.entries(context).toSorted(([a], [b]) => a < b ? -1 : 1)))
}

const HEAD_BYTES = 16
const headOf = (arn: string): Buffer => createHash('sha256').update(arn).digest().subarray(0, HEAD_BYTES)

function encrypt (input: Input, key: KmsKey): object {
  const arn = input.KeyId ?? ''
  requireUsable(arn, key)
  const iv = randomBytes(12)
  const cipher = createCipheriv('aes-256-gcm', key.material, iv)
  cipher.setAAD(aadOf(input.EncryptionContext))
  const sealed = Buffer.concat([cipher.update(Buffer.from(input.Plaintext ?? '', 'base64')), cipher.final(), cipher.getAuthTag()])
  return { KeyId: arn, CiphertextBlob: Buffer.concat([headOf(arn), iv, sealed]).toString('base64'), EncryptionAlgorithm: 'SYMMETRIC_DEFAULT' }
}

function decrypt (input: Input, keys: ReadonlyMap<string, KmsKey>): object {
  const blob = Buffer.from(input.CiphertextBlob ?? '', 'base64')
  if (blob.length < 1) throw new KmsError('ValidationException', '1 validation error detected: Value at \'ciphertextBlob\' failed to satisfy constraint: Member must have length greater than or equal to 1')
  const [arn, key] = [...keys].find(([name]) => headOf(name).equals(blob.subarray(0, HEAD_BYTES))) ?? []
  if (arn === undefined || key === undefined || blob.length < HEAD_BYTES + 28) throw new KmsError('InvalidCiphertextException', '')
  if (input.KeyId !== undefined && input.KeyId !== arn) throw new KmsError('IncorrectKeyException', 'The key ID in the request does not identify a CMK that can perform this operation.')
  requireUsable(arn, key)
  try {
    const decipher = createDecipheriv('aes-256-gcm', key.material, blob.subarray(HEAD_BYTES, HEAD_BYTES + 12))
    decipher.setAAD(aadOf(input.EncryptionContext))
    decipher.setAuthTag(blob.subarray(-16))
    const plaintext = Buffer.concat([decipher.update(blob.subarray(HEAD_BYTES + 12, -16)), decipher.final()])
    return { KeyId: arn, Plaintext: plaintext.toString('base64'), EncryptionAlgorithm: 'SYMMETRIC_DEFAULT' }
  } catch {
    throw new KmsError('InvalidCiphertextException', '')
  }
}

/** AWS, “Create a signed AWS API request”: the request as it was signed, hashed and signed again here. */
function requireSignature ({ method, headers, bytes, url }: Received, region: string): void {
  const [, access, date, of, service, signedHeaders = '', signature] = /^AWS4-HMAC-SHA256 Credential=(\w+)\/(\d{8})\/([a-z0-9-]+)\/(\w+)\/aws4_request, SignedHeaders=([a-z0-9;-]+), Signature=([0-9a-f]{64})$/.exec(headers.authorization ?? '') ?? []
  if (access === undefined || date === undefined) throw new KmsError('MissingAuthenticationTokenException', 'Missing Authentication Token')
  if (access !== KMS_ACCESS_KEY) throw new KmsError('UnrecognizedClientException', 'The security token included in the request is invalid.')
  if (of !== region || service !== 'kms') throw new KmsError('InvalidSignatureException', `Credential should be scoped to a valid region and service, not ${of}/${service}`)
  for (const needed of ['host', 'x-amz-date', 'x-amz-target']) if (!signedHeaders.split(';').includes(needed)) throw new KmsError('InvalidSignatureException', `${needed} is not signed`)
  const sha256 = (data: string | Buffer) => createHash('sha256').update(data).digest('hex')
  const hmac = (key: string | Buffer, data: string) => createHmac('sha256', key).update(data).digest()
  const canonicalHeaders = signedHeaders.split(';').map((name) => `${name}:${String(headers[name]).trim().replace(/ +/g, ' ')}\n`).join('')
  const canonical = [method, url, '', canonicalHeaders, signedHeaders, sha256(bytes)].join('\n')
  const scope = `${date}/${region}/kms/aws4_request`
  const text = ['AWS4-HMAC-SHA256', headers['x-amz-date'], scope, sha256(canonical)].join('\n')
  const key = [region, 'kms', 'aws4_request'].reduce<Buffer>((made, part) => hmac(made, part), hmac(`AWS4${KMS_SECRET_KEY}`, date))
  if (hmac(key, text).toString('hex') !== signature) throw new KmsError('InvalidSignatureException', 'The request signature we calculated does not match the signature you provided.')
}
