import { createSecretKey } from 'node:crypto'
import fc from 'fast-check'
import t from 'tap'
import { encodeBinding, type BindingContext } from '../../src/crypto/binding.ts'
import { envelopeKeyId, openEnvelope, resealEnvelope, sealEnvelope } from '../../src/crypto/envelope.ts'
import { formatId } from '../../src/ids.ts'

const key = { id: formatId('key', Buffer.alloc(16, 7)), key: createSecretKey(Buffer.alloc(32, 9)) }
const context: BindingContext = {
  purpose: 'connection-credential',
  scope: { kind: 'workspace', workspaceId: 'acme', environment: 'sandbox' },
  ownerId: 'conn_1',
  versionId: 'ver_1',
  fieldSet: ['secret_key', 'webhook_secret'],
  hosts: ['api.stripe.com'],
  hostConfig: { region: 'eu' },
}
const binding = encodeBinding(context)

/** Made once with this program, format 1. It must open for ever, or stored credentials don't. */
const FIXED = '010707070707070707070707070707070704bbccc425ff2e2e00cde94ff3f17c412c8ee7f5a6de11e44d01c2fe3cdee5b030f9f74fb7fe090ea182c67fc7fb4d132cabd6400f4c5644d27e3ad371ede151378f238e4a23ca55c09b95e5b31f0804cf98eec06a26b465f0de5fe304328aedf32f5cac1e0228ce91e87005d3'

t.test('what is sealed opens in its place', async (t) => {
  const sealed = sealEnvelope(key, binding, Buffer.from('sk_test_value'))
  t.equal(openEnvelope(key, binding, sealed)?.toString(), 'sk_test_value')
  t.equal(envelopeKeyId(sealed), key.id)
  t.equal(sealed.length, 1 + 16 + 32 + 12 + 32 + 13 + 16)
  t.notSame(sealEnvelope(key, binding, Buffer.from('sk_test_value')), sealed, 'salt and nonce are fresh each time')
})

t.test('salts and IVs never come again, from one page of randomness to the next', async (t) => {
  const seen = new Set<string>()
  for (let made = 0; made < 350; made++) {
    const sealed = sealEnvelope(key, binding, Buffer.from('the same'))
    seen.add(sealed.subarray(17, 49).toString('hex')).add(sealed.subarray(49, 61).toString('hex'))
  }
  t.equal(seen.size, 700)
})

t.test('sealed again, it opens under the new key in the same place, and the old value stays as it was', async (t) => {
  const to = { id: formatId('key', Buffer.alloc(16, 8)), key: createSecretKey(Buffer.alloc(32, 11)) }
  const sealed = sealEnvelope(key, binding, Buffer.from('sk_test_value'))
  const before = Buffer.from(sealed)
  const again = resealEnvelope({ from: key, to }, binding, sealed)
  t.ok(again)
  if (again === undefined) return
  t.equal(openEnvelope(to, binding, again)?.toString(), 'sk_test_value')
  t.equal(openEnvelope(key, binding, again), undefined)
  t.equal(envelopeKeyId(again), to.id)
  t.same(sealed, before)
  const elsewhere = encodeBinding({ ...context, ownerId: 'conn_2' })
  t.equal(resealEnvelope({ from: key, to }, elsewhere, sealed), undefined, 'nothing is sealed of what does not open')
  t.equal(resealEnvelope({ from: to, to: key }, binding, sealed), undefined)
})

t.test('a fixed envelope of format 1', async (t) => {
  t.equal(openEnvelope(key, binding, Buffer.from(FIXED, 'hex'))?.toString(), 'a fixed plaintext')
})

t.test('flipping any bit of any part fails', async (t) => {
  const sealed = sealEnvelope(key, binding, Buffer.from('sk_test_value'))
  for (let at = 0; at < sealed.length; at++) {
    const changed = Buffer.from(sealed)
    changed[at] = (changed[at] ?? 0) ^ (1 << (at % 8))
    t.equal(openEnvelope(key, binding, changed), undefined, `byte ${at}`)
  }
  for (const length of [0, 1, 17, 92, 108, sealed.length - 1, sealed.length - 4, sealed.length - 12]) {
    t.equal(openEnvelope(key, binding, sealed.subarray(0, length)), undefined, `cut to ${length} bytes`)
  }
})

t.test('another key of the same id fails at the commitment', async (t) => {
  const sealed = sealEnvelope(key, binding, Buffer.from('sk_test_value'))
  t.equal(openEnvelope({ ...key, key: createSecretKey(Buffer.alloc(32, 10)) }, binding, sealed), undefined)
})

t.test('any other place fails', async (t) => {
  const sealed = sealEnvelope(key, binding, Buffer.from('sk_test_value'))
  const elsewhere: BindingContext[] = [
    { ...context, scope: { kind: 'system' } },
    { ...context, scope: { kind: 'workspace', workspaceId: 'acm', environment: 'sandbox' } },
    { ...context, scope: { kind: 'workspace', workspaceId: 'acme', environment: 'live' } },
    { ...context, ownerId: 'conn_2' },
    { ...context, versionId: 'ver_2' },
    { ...context, fieldSet: ['secret_key'] },
    { ...context, hosts: ['api.stripe.com', 'evil.example'] },
    { ...context, hosts: [] },
    { ...context, hostConfig: {} },
    { ...context, hostConfig: { region: 'us' } },
  ]
  for (const other of elsewhere) t.equal(openEnvelope(key, encodeBinding(other), sealed), undefined, JSON.stringify(other))
  const reordered = { ...context, fieldSet: context.fieldSet.toReversed() }
  t.equal(openEnvelope(key, encodeBinding(reordered), sealed)?.toString(), 'sk_test_value', 'sets have no order')
})

t.test('two different contexts never have the same encoding', async (t) => {
  const text = fc.string({ maxLength: 6 })
  const contexts = fc.record({
    purpose: fc.constant('connection-credential' as const),
    scope: fc.oneof(
      fc.constant({ kind: 'system' as const }),
      fc.record({ kind: fc.constant('workspace' as const), workspaceId: text, environment: fc.constantFrom('sandbox' as const, 'live' as const) }),
    ),
    ownerId: text,
    versionId: text,
    fieldSet: fc.uniqueArray(text, { maxLength: 3 }),
    hosts: fc.uniqueArray(text, { maxLength: 3 }),
    hostConfig: fc.dictionary(text, text, { maxKeys: 2, noNullPrototype: true }),
  })
  const canonical = (one: BindingContext) => JSON.stringify([one.purpose, one.scope.kind, one.scope, one.ownerId, one.versionId,
    one.fieldSet.toSorted(), one.hosts.toSorted(), Object.entries(one.hostConfig).sort(([a], [b]) => a < b ? -1 : 1)])
  fc.assert(fc.property(contexts, contexts, (a, b) => encodeBinding(a).equals(encodeBinding(b)) === (canonical(a) === canonical(b))), { numRuns: 3_000 })
  t.pass('3,000 pairs')
})
