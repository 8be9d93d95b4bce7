import { readFileSync } from 'node:fs'
import t from 'tap'
import { aeadOpen, aeadSeal, IV_BYTES, TAG_BYTES } from '../../src/crypto/aead.ts'

interface Vector {
  readonly tcId: number
  readonly key: string
  readonly iv: string
  readonly aad: string
  readonly msg: string
  readonly ct: string
  readonly tag: string
  readonly result: 'valid' | 'invalid'
}

const { tests } = JSON.parse(readFileSync(new URL('../vectors/wycheproof-aes-gcm.json', import.meta.url), 'utf8')) as { tests: Vector[] }
const hex = (text: string) => Buffer.from(text, 'hex')

t.test('Wycheproof AES-GCM vectors', async (t) => {
  t.ok(tests.length >= 14)
  for (const vector of tests) {
    const input = { key: hex(vector.key), iv: hex(vector.iv), aad: hex(vector.aad) }
    const opened = aeadOpen(input, hex(vector.ct + vector.tag))
    if (vector.result === 'valid') {
      t.equal(opened?.toString('hex'), vector.msg, `test ${vector.tcId} opens`)
      t.equal(aeadSeal(input, hex(vector.msg)).toString('hex'), vector.ct + vector.tag, `test ${vector.tcId} seals`)
    } else {
      t.equal(opened, undefined, `test ${vector.tcId} is refused`)
    }
  }
})

t.test('only full-length nonces and tags', async (t) => {
  const input = { key: Buffer.alloc(32, 1), iv: Buffer.alloc(IV_BYTES, 2), aad: Buffer.from('aad') }
  const sealed = aeadSeal(input, Buffer.from('plaintext'))
  t.equal(aeadOpen(input, sealed)?.toString(), 'plaintext')
  for (const length of [4, 8, 12, 13, 14, 15]) {
    t.equal(aeadOpen(input, sealed.subarray(0, sealed.length - TAG_BYTES + length)), undefined, `a tag cut to ${length} bytes`)
  }
  t.equal(aeadOpen(input, sealed.subarray(0, TAG_BYTES - 1)), undefined, 'shorter than a tag')
  t.equal(aeadOpen({ ...input, iv: Buffer.alloc(16) }, sealed), undefined, 'a nonce of another length')
  t.equal(aeadOpen({ ...input, aad: Buffer.from('aae') }, sealed), undefined, 'other associated data')
})
