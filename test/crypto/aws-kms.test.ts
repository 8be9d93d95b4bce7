import { randomBytes } from 'node:crypto'
import t from 'tap'
import { KeyringError, openAwsKms } from '../../src/crypto/index.ts'
import { createEgress } from '../../src/egress/index.ts'
import { createMetrics } from '../../src/metrics.ts'
import { KEK_CONTEXT as CONTEXT, reasonOf, stageKeks } from '../support/keks.ts'

/** What AWS KMS is asked, and what becomes of its answers. That it conforms is in kek.test.ts. */
const stage = await stageKeks()
const { kms, openKms, reached } = stage
t.teardown(async () => { await stage.close() })
const arn = kms.makeKey()
const provider = await openKms()

t.test('the wire', async (t) => {
  kms.calls.length = 0
  const key = randomBytes(32)
  const wrapped = await provider.wrap(`aws-kms:${arn}`, key, CONTEXT)
  t.same(kms.calls, [{ action: 'Encrypt', keyId: arn, context: { 'connection-vault-context': CONTEXT.toString('base64') } }])
  kms.troubles.begin('throttled', { times: 2 })
  t.same(await provider.unwrap(`aws-kms:${arn}`, wrapped, CONTEXT), key, 'throttled twice, and then answered')
  kms.troubles.begin('cut', { times: 1 })
  t.same(await provider.unwrap(`aws-kms:${arn}`, wrapped, CONTEXT), key, 'cut off, and asked again')
  kms.troubles.begin('slow', { times: 1, ms: 2_000 })
  t.same(await provider.unwrap(`aws-kms:${arn}`, wrapped, CONTEXT), key, '2 s are waited for')
  kms.troubles.end()
  t.same(await (await openKms()).unwrap(`aws-kms:${arn}`, wrapped, CONTEXT), key, 'in another process')
  const abroad = kms.makeKey('us-east-1')
  t.same(await provider.unwrap(`aws-kms:${abroad}`, await provider.wrap(`aws-kms:${abroad}`, key, CONTEXT), CONTEXT), key, 'signed for the region of the ARN')
  kms.troubles.begin('no_ciphertext', { times: 1 })
  t.equal(await reasonOf(provider.wrap(`aws-kms:${arn}`, key, CONTEXT)), 'no_ciphertext')
  await t.rejects(provider.wrap('aws-kms:arn:aws:kms:eu-central-1:111122223333:alias/vault', key, CONTEXT), /aliases don't do/)
})

t.test('what is said for the log', async (t) => {
  const ask = async () => await reasonOf(provider.wrap(`aws-kms:${arn}`, randomBytes(32), CONTEXT))
  for (const [trouble, reason] of [['denied', 'AccessDeniedException'], ['throttled', 'ThrottlingException'], ['expired_token', 'ExpiredTokenException'], ['internal', 'KMSInternalException'], ['cut', 'interrupted']] as const) {
    kms.troubles.begin(trouble)
    t.equal(await ask(), reason)
  }
  kms.troubles.end()
  await kms.setReachable(false)
  t.equal(await ask(), 'unreachable')
  await kms.setReachable(true)
})

t.test('credentials', async (t) => {
  const { AWS_ACCESS_KEY_ID: id, AWS_SECRET_ACCESS_KEY: secret } = process.env
  t.teardown(() => { Object.assign(process.env, { AWS_ACCESS_KEY_ID: id, AWS_SECRET_ACCESS_KEY: secret }) })
  delete process.env['AWS_ACCESS_KEY_ID']
  t.equal(await reasonOf((await openKms()).health(`aws-kms:${arn}`)), 'CredentialsProviderError', 'there are none')
  Object.assign(process.env, { AWS_ACCESS_KEY_ID: 'AKIAOTHER', AWS_SECRET_ACCESS_KEY: secret })
  t.equal(await reasonOf((await openKms()).health(`aws-kms:${arn}`)), 'UnrecognizedClientException')
  Object.assign(process.env, { AWS_ACCESS_KEY_ID: id, AWS_SECRET_ACCESS_KEY: 'wrong' })
  t.equal(await reasonOf((await openKms()).health(`aws-kms:${arn}`)), 'InvalidSignatureException')
})

t.test('an endpoint that is not to be reached', async (t) => {
  const closed = createEgress({ exceptions: {}, metrics: createMetrics() })
  t.teardown(async () => { await closed.close() })
  const shut = await openAwsKms({ endpoint: new URL(kms.url) }, async (request) => await closed.send('kek', request))
  await t.rejects(shut.health(`aws-kms:${arn}`), { constructor: KeyringError, message: /EGRESS_ALLOW_KEK/ })
})

t.test('nothing else was reached', async (t) => { t.same([...reached], [kms.endpoint]) })
