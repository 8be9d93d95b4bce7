import { randomBytes } from 'node:crypto'
import { inspect } from 'node:util'
import { gzipSync } from 'node:zlib'
import t, { type Test } from 'tap'
import { systemClock } from '../../src/clock.ts'
import { wrapSecret } from '../../src/crypto/wrap.ts'
import { createEgress } from '../../src/egress/index.ts'
import { createMetrics } from '../../src/metrics.ts'
import { createOAuthProtocol, type OAuthClient } from '../../src/oauth/index.ts'
import { refresh, sampleClient } from '../support/oauth-client.ts'
import { startProvider, type Answer, type Received } from '../support/provider.ts'

/**
 * Every way a token request can go wrong, with canaries for all that is secret in it: nothing that
 * comes out of the room, or that the process prints meanwhile, holds one of them in any form.
 */
const canary = (name: string) => `canary-${name}-${randomBytes(9).toString('base64')}+/=~`
const SECRETS = { client: canary('client'), code: canary('code'), verifier: canary('verifier'), refresh: canary('refresh'), access: canary('access'), foreign: `ключ-${canary('foreign')}` }

const said: string[] = []
for (const stream of [process.stdout, process.stderr]) {
  const write = stream.write.bind(stream)
  stream.write = (chunk: string | Uint8Array, ...rest: []) => {
    said.push(typeof chunk === 'string' ? chunk : Buffer.from(chunk).toString())
    return write(chunk, ...rest)
  }
}
process.on('warning', (warning) => { said.push(inspect(warning, { depth: 10, showHidden: true })) })
process.on('unhandledRejection', (reason) => { said.push('unhandled rejection', inspect(reason, { depth: 10, showHidden: true })) })

const spell = (secret: string) => {
  const buffer = Buffer.from(secret)
  const encodings = [buffer.toString('base64').replace(/=+$/, ''), buffer.toString('base64url'), buffer.toString('hex')]
  const basic = Buffer.from(`client-1.app:${secret}`).toString('base64').replace(/=+$/, '')
  const strict = Buffer.from(`client-1.app:${encodeURIComponent(secret)}`).toString('base64').replace(/=+$/, '')
  return [secret, encodeURIComponent(secret), new URLSearchParams([['', secret]]).toString().slice(1), basic, strict, ...encodings].map((form) => form.toLowerCase())
}
const forms = Object.values(SECRETS).flatMap(spell)

/** Forms of the canaries that stand in a text. */
function leaksIn (text: string): string[] {
  const lower = text.toLowerCase()
  return forms.filter((form) => lower.includes(form))
}

const everything = (value: unknown) => `${inspect(value, { depth: 12, showHidden: true, getters: true, maxStringLength: null, maxArrayLength: null })}${JSON.stringify(value)}${value instanceof Error ? `${value.stack}${inspect(value.cause)}` : ''}`

const provider = await startProvider(() => {})
const closed = await startProvider(() => {})
await closed.close()
const exceptions = { provider: new Set([provider.endpoint, closed.endpoint]) }
const egress = createEgress({ exceptions, metrics: createMetrics() })
const protocol = createOAuthProtocol({ egress, clock: systemClock, timeoutMs: 700 })
t.teardown(async () => { for (const { close } of [protocol, egress, provider]) await close() })

/** All five requests of one app; each result as text, thrown values included. */
async function runAll (client: OAuthClient): Promise<{ name: string, text: string, thrown: boolean }[]> {
  const tokens = { accessToken: wrapSecret(SECRETS.access), refreshToken: wrapSecret(SECRETS.refresh) }
  const runs: Record<string, () => Promise<unknown>> = {
    authorize: () => protocol.authorize(client, { state: 'state', scopes: ['a'] }),
    exchange: () => protocol.exchange(client, { code: wrapSecret(SECRETS.code), verifier: wrapSecret(SECRETS.verifier) }),
    refresh: () => refresh(protocol, client, { refreshToken: tokens.refreshToken }),
    clientCredentials: () => protocol.clientCredentials(client, {}),
    revoke: () => protocol.revoke(client, tokens),
  }
  return await Promise.all(Object.entries(runs).map(async ([name, run]) => {
    try {
      return { name, text: everything(await run()), thrown: false }
    } catch (error) {
      return { name, text: everything(error), thrown: true }
    }
  }))
}

async function expectNoLeak (t: Test, about: string, client: OAuthClient, throws: readonly string[] = []): Promise<void> {
  for (const { name, text, thrown } of await runAll(client)) {
    t.same(leaksIn(text), [], `${about}: ${name}`)
    t.equal(thrown, throws.includes(name), `${about}: ${name} ${throws.includes(name) ? 'throws' : 'does not throw'}`)
  }
}

const variants = (tokenUrl: string): OAuthClient[] => (['basic', 'body'] as const).flatMap((clientAuth) => (['form', 'json'] as const).map((tokenRequest) =>
  sampleClient({ tokenUrl }, { secret: SECRETS.client, provider: { clientAuth, tokenRequest, revoke: { url: tokenUrl, style: clientAuth === 'basic' ? tokenRequest : 'bearer' } } })))

t.test('the search finds what it looks for', async (t) => {
  for (const secret of Object.values(SECRETS)) for (const form of spell(secret)) t.not(leaksIn(`x${form}y`).length, 0)
  t.same(leaksIn('nothing'), [])
})

t.test('answers', async (t) => {
  /** A provider that puts all it was sent, in every form, into its words. */
  const echo = ({ body, headers, url }: Received) => [
    body, decodeURIComponent(body.replaceAll('%', '%25')), new URLSearchParams(body).toString(), [...new URLSearchParams(body).values()].join(' '), headers.authorization ?? '', url,
    Buffer.from(body).toString('base64'), Buffer.from(headers.authorization?.slice(6) ?? '', 'base64').toString(), ...Object.values(SECRETS).flatMap((secret) => [secret, encodeURIComponent(secret), Buffer.from(secret).toString('hex'), Buffer.from(secret).toString('base64url')]),
  ]
  const failing = (status: number, make: (words: string[]) => unknown): Answer => (received, reply) => {
    // The secrets of another request in the room are not this one's to hide.
    const words = echo(received).filter((word) => !strangers(received).some((form) => word.toLowerCase().includes(form)))
    reply.writeHead(status, { 'content-type': 'application/json', 'x-echo': 'y' }).end(JSON.stringify(make(words)))
  }
  const strangers = (received: Received) => Object.values(SECRETS).filter((secret) => !wholeOf(received).includes(secret)).flatMap(spell)
  const wholeOf = ({ body, headers }: Received) => {
    const basic = Buffer.from(headers.authorization?.split(' ')[1] ?? '', 'base64').toString()
    return [body, decodeForm(body), headers.authorization ?? '', basic, decodeForm(basic)].join('\n')
  }
  const decodeForm = (text: string) => new URLSearchParams(`x=${text.replaceAll('&', '%26')}`).get('x') ?? ''

  const answers: [string, Answer][] = [
    ['401 that echoes', failing(401, (words) => ({ error: 'invalid_client', error_description: words.join(' | ') }))],
    ['400 that echoes in pieces', failing(400, (words) => ({ error: words[0] ?? '', error_description: words.map((word) => word.slice(0, 60)).join(' ') }))],
    ['each word alone', failing(403, (words) => ({ error: { code: words.at(-1), message: words.at(-2) } }))],
    ['200 that echoes', failing(200, (words) => ({ ok: false, error: words[2], error_description: words.reverse().join(' ') }))],
    ['HTML 502', (received, reply) => { reply.writeHead(502, { 'content-type': 'text/html' }).end(`<html>${echo(received).join('<br>')}`) }],
    ['HTML 200', (received, reply) => { reply.writeHead(200, { 'content-type': 'text/html' }).end(`<html>${echo(received).join('<br>')}`) }],
    ['302 that echoes', (received, reply) => { reply.writeHead(302, { location: `${provider.url}/?${new URLSearchParams({ all: received.body }).toString()}` }).end(received.body) }],
    ['invalid JSON', (received, reply) => { reply.writeHead(200, { 'content-type': 'application/json' }).end(`{"error":"${received.body}`) }],
    ['invalid JSON at 400', (received, reply) => { reply.writeHead(400, { 'content-type': 'application/json' }).end(`{"error":"${received.body}`) }],
    ['__proto__', (received, reply) => { reply.writeHead(400, { 'content-type': 'application/json' }).end(JSON.stringify({ error: 'x', message: received.body }).replace('{', '{"__proto__":{"a":1},')) }],
    ['gzip garbage', (received, reply) => { reply.writeHead(200, { 'content-encoding': 'gzip' }).end(received.body) }],
    ['a gzip bomb', (_received, reply) => { reply.writeHead(200, { 'content-encoding': 'gzip' }).end(gzipSync(Buffer.alloc(20_000_000))) }],
    ['oversize', (received, reply) => { reply.writeHead(400).end(received.body.repeat(10_000)) }],
    ['reset', (_received, reply) => { reply.destroy() }],
    ['reset in the middle', (received, reply) => { reply.writeHead(200, { 'content-length': '100000' }).write(received.body, () => { reply.destroy() }) }],
    ['silence', () => {}],
    ['silence in the middle', (received, reply) => { reply.writeHead(401).write(received.body) }],
  ]
  for (const [about, answer] of answers) {
    provider.answer = answer
    for (const client of variants(`${provider.url}/token`)) await expectNoLeak(t, about, client)
  }
  t.ok(provider.received.length >= answers.length * 16)
  t.ok(provider.received.some((received) => wholeOf(received).includes(SECRETS.verifier)), 'the canaries did travel')
})

t.test('no way out', async (t) => {
  for (const tokenUrl of [closed.url, 'http://127.0.0.1:9/', 'https://127.0.0.1/', 'https://no-such-name.invalid/token', `https://${provider.endpoint}/`, 'http://api.example.com/']) {
    for (const client of variants(tokenUrl)) await expectNoLeak(t, tokenUrl, client)
  }
})

t.test('apps that can’t be used', async (t) => {
  const broken: [string, OAuthClient][] = [
    ['a secret beyond ASCII', sampleClient({ tokenUrl: provider.url }, { secret: SECRETS.foreign })],
    ['a client id beyond ASCII', sampleClient({ tokenUrl: provider.url }, { secret: SECRETS.client, clientId: 'ключ' })],
    ['a secret with a line break', sampleClient({ tokenUrl: provider.url }, { secret: `${SECRETS.client}\r\n` })],
    ['a token URL that is none', sampleClient({ tokenUrl: 'no url' }, { secret: SECRETS.client })],
    // Gets as far as the library's own validation, whose message quotes the options.
    ['a token URL of another kind', sampleClient({ tokenUrl: 'ftp://provider.example/token' }, { secret: SECRETS.client })],
    ['a bad option', { ...sampleClient({ tokenUrl: provider.url }, { secret: SECRETS.client }), redirectUri: 7 as unknown as string }],
    ['a bad id', { ...sampleClient({ tokenUrl: provider.url }, { secret: SECRETS.client }), clientId: { toString: () => 'x' } as unknown as string }],
  ]
  provider.answer = (_received, reply) => { reply.writeHead(500).end() }
  for (const [about, client] of broken) {
    await expectNoLeak(t, about, client, ['authorize'])
    t.match(await protocol.exchange(client, { code: wrapSecret(SECRETS.code), verifier: wrapSecret(SECRETS.verifier) }), { kind: 'config_error', error: 'client_invalid', status: undefined }, about)
  }
})

t.test('nothing was said', async (t) => {
  await new Promise((resolve) => { setImmediate(resolve) })
  t.same(said.filter((text) => text.startsWith('unhandled rejection')), [])
  t.same(leaksIn(said.join('')), [])
})
