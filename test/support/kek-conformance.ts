import { randomBytes } from 'node:crypto'
import { inspect } from 'node:util'
import type { Test } from 'tap'
import { KeyringError, type KekProvider, type WrappedKey } from '../../src/crypto/index.ts'
import { VaultError } from '../../src/errors.ts'

/** Something that happens to a provider, and how it ends. */
export interface Happening {
  readonly name: string
  begin (): void | Promise<void>
  end (): void | Promise<void>
}

/** A provider with what its conformance is shown on. */
export interface KekHarness {
  readonly provider: KekProvider
  /** Two KEKs that can be used, and one that does not exist. */
  readonly kekId: string
  readonly otherKekId: string
  readonly absentKekId: string
  /** What an error about the absent one tells to do. */
  readonly absentSays: RegExp
  /** What may stand in no error: tokens, secret keys. Keys and contexts of the suite are added. */
  readonly secrets: readonly string[]
  /** No call takes longer, whatever happens. */
  readonly boundMs: number
  /** Each makes wrap, unwrap and health answer `kek_unavailable`, and nothing is left of it afterwards. */
  readonly away: readonly Happening[]
  /** States in which `kekId` is not usable: `kek_unavailable`, or what the KeyringError says. */
  readonly states: readonly (Happening & { readonly health: 'kek_unavailable' | RegExp, readonly use: 'kek_unavailable' | RegExp })[]
  /** Each makes unwrap answer what is not the key. */
  readonly wrongPlaintexts: readonly Happening[]
}

const CONTEXT = Buffer.from('connection-vault key 1 workspace acme live key_1')
const OTHER_CONTEXT = Buffer.from('connection-vault key 1 workspace acme live key_2')

/** What every provider of KEKs does, whatever it stands on (`KekProvider`). */
export async function conformKekProvider (t: Test, harness: KekHarness): Promise<void> {
  const { provider, kekId, otherKekId } = harness
  const key = randomBytes(32)
  const wrapped = await provider.wrap(kekId, key, CONTEXT)
  const suite: Suite = { ...harness, key, wrapped, secrets: [...harness.secrets, ...formsOf(key), ...formsOf(wrapped), ...formsOf(CONTEXT)] }

  t.test('round trip', async (t) => {
    t.same(await provider.unwrap(kekId, wrapped, CONTEXT), key)
    for (const form of formsOf(key)) t.notOk(wrapped.includes(form) || wrapped.toString('latin1').includes(form), 'the key is not in what it was wrapped to')
    t.notOk(wrapped.includes(key))
    const again = await provider.wrap(kekId, key, CONTEXT)
    t.notSame(again, wrapped, 'never the same twice')
    t.same(await provider.unwrap(kekId, again, CONTEXT), key)
    const empty = await provider.wrap(otherKekId, key, Buffer.alloc(300, 0xff))
    t.same(await provider.unwrap(otherKekId, empty, Buffer.alloc(300, 0xff)), key, 'any bytes are a context')
  })

  t.test('buffers', async (t) => {
    const mine = Buffer.from(key)
    const bound = Buffer.from(CONTEXT)
    const made = await provider.wrap(kekId, mine, bound)
    t.same([mine, bound], [key, CONTEXT], 'what was handed in is as it was')
    const first = await provider.unwrap(kekId, made, bound)
    t.ok(Buffer.isBuffer(first))
    first?.fill(0)
    mine.fill(1)
    t.same(await provider.unwrap(kekId, made, bound), key, 'what was handed out is the caller’s own')
    const inside = Buffer.concat([Buffer.alloc(7, 9), key, Buffer.alloc(7, 9)])
    t.same(await provider.unwrap(kekId, await provider.wrap(kekId, inside.subarray(7, 39), CONTEXT), CONTEXT), key, 'part of a larger buffer')
    t.same(await provider.unwrap(kekId, await provider.wrap(kekId, new Uint8Array(key), new Uint8Array(CONTEXT)), CONTEXT), key, 'plain bytes')
  })

  t.test('at the same time', async (t) => {
    const keys = Array.from({ length: 24 }, () => randomBytes(32))
    const contexts = keys.map((_key, index) => Buffer.from(`context ${index}`))
    const all = await Promise.all(keys.map((one, index) => provider.wrap(index % 2 === 0 ? kekId : otherKekId, one, contexts[index] ?? CONTEXT)))
    t.equal(new Set(all.map((one) => one.toString('hex'))).size, keys.length)
    const back = await Promise.all(all.map((one, index) => provider.unwrap(index % 2 === 0 ? kekId : otherKekId, one, contexts[index] ?? CONTEXT)))
    t.same(back, keys)
  })

  t.test('what is not its own', async (t) => { await refuse(t, suite) })
  t.test('an absent KEK', async (t) => {
    for (const [call, work] of Object.entries(callsOf(suite, harness.absentKekId))) await fails(t, suite, { name: call, work, as: harness.absentSays })
  })
  t.test('health', async (t) => {
    await provider.health(kekId)
    await provider.health(otherKekId)
    for (const state of harness.states) {
      await state.begin()
      const { health, ...uses } = callsOf(suite, kekId)
      await fails(t, suite, { name: `${state.name}: health`, work: health, as: state.health })
      for (const [call, work] of Object.entries(uses)) await fails(t, suite, { name: `${state.name}: ${call}`, work, as: state.use })
      await provider.health(otherKekId)
      await state.end()
      t.same(await provider.unwrap(kekId, wrapped, CONTEXT), key, `${state.name}, and mended`)
    }
  })
  t.test('away', async (t) => {
    for (const one of harness.away) {
      await one.begin()
      const calls = Object.entries(callsOf(suite, kekId))
      await Promise.all(calls.map(async ([call, work]) => { await fails(t, suite, { name: `${one.name}: ${call}`, work, as: 'kek_unavailable' }) }))
      await one.end()
      t.same(await provider.unwrap(kekId, wrapped, CONTEXT), key, `${one.name}, and over`)
    }
  })
}

interface Suite extends KekHarness {
  readonly key: Buffer
  readonly wrapped: WrappedKey
}

async function refuse (t: Test, { provider, kekId, otherKekId, wrapped, wrongPlaintexts }: Suite): Promise<void> {
  const isNoKey = async (changed: Buffer, why: string) => { t.equal(await provider.unwrap(kekId, changed as WrappedKey, CONTEXT), undefined, why) }
  t.equal(await provider.unwrap(kekId, wrapped, OTHER_CONTEXT), undefined, 'another context')
  t.equal(await provider.unwrap(kekId, wrapped, Buffer.alloc(0)), undefined, 'no context')
  t.equal(await provider.unwrap(kekId, wrapped, CONTEXT.subarray(0, -1)), undefined, 'a shorter context')
  t.equal(await provider.unwrap(otherKekId, wrapped, CONTEXT), undefined, 'another KEK')
  await isNoKey(await provider.wrap(otherKekId, randomBytes(32), CONTEXT), 'wrapped by another KEK')
  // Every place: heads, versions, nonces, ciphertext, tag, and what an encoding might pass over.
  const places = Array.from(wrapped.keys()).filter((index) => wrapped.length <= 200 || index < 100 || index >= wrapped.length - 100)
  for (const place of places) {
    for (const bit of [0x01, 0x80]) {
      const changed = Buffer.from(wrapped)
      changed[place] = (changed[place] ?? 0) ^ bit
      if (await provider.unwrap(kekId, changed as WrappedKey, CONTEXT) !== undefined) t.fail(`bit ${bit} of byte ${place} changes nothing`)
    }
  }
  t.ok(places.length > 40, `${places.length} places changed`)
  for (const length of [0, 1, 11, 12, 16, 28, wrapped.length - 17, wrapped.length - 16, wrapped.length - 4, wrapped.length - 1]) await isNoKey(Buffer.from(wrapped.subarray(0, length)), `its first ${length} bytes`)
  await isNoKey(Buffer.concat([wrapped, Buffer.from('A')]), 'a byte more')
  await isNoKey(Buffer.concat([Buffer.from('A'), wrapped]), 'a byte more in front')
  await isNoKey(Buffer.concat([wrapped, Buffer.from('\n')]), 'a line end more')
  await isNoKey(Buffer.concat([wrapped, wrapped]), 'twice')
  await isNoKey(randomBytes(wrapped.length), 'noise')
  await isNoKey(Buffer.alloc(100_000, 0x41), 'much of nothing')
  for (const length of [0, 16, 31, 33, 64]) {
    const short = await provider.wrap(kekId, randomBytes(length), CONTEXT).catch(() => undefined)
    if (short !== undefined) await isNoKey(short, `${length} bytes are no key`)
  }
  for (const wrong of wrongPlaintexts) {
    await wrong.begin()
    const answer = await provider.unwrap(kekId, wrapped, CONTEXT).catch((error: unknown) => error)
    await wrong.end()
    t.ok(answer === undefined || (answer instanceof VaultError && answer.code === 'kek_unavailable'), `${wrong.name} is no key`)
  }
}

function callsOf ({ provider, key, wrapped }: Suite, kekId: string) {
  return {
    wrap: async () => { await provider.wrap(kekId, key, CONTEXT) },
    unwrap: async () => { await provider.unwrap(kekId, wrapped, CONTEXT) },
    health: async () => { await provider.health(kekId) },
  }
}

interface Failing {
  readonly name: string
  readonly work: () => Promise<void>
  readonly as: 'kek_unavailable' | RegExp
}

async function fails (t: Test, suite: Suite, { name, work, as }: Failing): Promise<void> {
  const startedMs = performance.now()
  const error = await work().then(() => undefined, (thrown: unknown) => thrown)
  const tookMs = performance.now() - startedMs
  t.ok(tookMs <= suite.boundMs, `${name}: ${Math.round(tookMs)} ms of ${suite.boundMs}`)
  if (as === 'kek_unavailable') {
    t.ok(error instanceof VaultError && error.code === 'kek_unavailable', `${name}: ${String(error)}`)
    const { details } = error as VaultError
    t.ok((details.retryAfterSeconds ?? 0) >= 1, 'says when to come again')
    t.match(details.cause, { code: /^[A-Za-z0-9_]+$/ }, 'says for the log what it was')
  } else {
    t.ok(error instanceof KeyringError && as.test(error.message), `${name}: ${String(error)}`)
  }
  const told = tell(error)
  for (const secret of suite.secrets) if (told.includes(secret)) t.fail(`${name}: ${secret.slice(0, 6)}… in ${told}`)
}

/** Everything that can be got out of an error. */
function tell (error: unknown): string {
  const one = error as Error & { cause?: unknown }
  const cause = one.cause === undefined ? '' : tell(one.cause)
  return [String(one), one.message, one.stack, inspect(one, { depth: 10, showHidden: true }), JSON.stringify(one), JSON.stringify({ ...one }), cause].join('\n')
}

function formsOf (bytes: Buffer): string[] {
  const base64 = bytes.toString('base64').slice(0, 24)
  return [bytes.toString('hex'), base64, base64.replaceAll('+', '-').replaceAll('/', '_'), bytes.toString('latin1'), [...bytes.subarray(0, 12)].join(',')]
}
