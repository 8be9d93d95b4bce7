import t from 'tap'
import { keyOf } from '../../src/http/rate-windows.ts'
import { startTestVault } from '../support/vault.ts'

/** What strangers send on the public listener, and under what it is counted. */
const vault = await startTestVault()
t.teardown(() => vault.close())

t.test('a key is short, whatever it is made of', async (t) => {
  const long = 'x'.repeat(16_000)
  t.equal(keyOf({ app_ref: 'app' }, long).length, 43)
  t.not(keyOf({ app_ref: 'app' }, long), keyOf({ app_ref: 'app' }, `${long}y`))
  t.not(keyOf('a', 'b'), keyOf('ab'), 'nothing runs into the next')
  t.equal(keyOf('a', undefined), keyOf('a', undefined))
})

t.test('each state has its own turns at a callback, however long', async (t) => {
  const visit = async (end: string) => (await fetch(`${vault.urls.public}/oauth/callback/app_${'0'.repeat(26)}?state=${'s'.repeat(8_000)}${end}`)).status
  const statuses: number[] = []
  for (let visits = 0; visits < 121; visits += 11) statuses.push(...await Promise.all(Array.from({ length: 11 }, async () => await visit('a'))))
  t.equal(statuses.filter((status) => status === 429).length, 1)
  t.not(await visit('b'), 429)
})

t.test('all of them say what is left as the draft has it', async (t) => {
  const challenge = { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ agent_id: `agt_${'0'.repeat(26)}` }) }
  for (const [path, init] of [[`/connect/${'A'.repeat(43)}`, {}], [`/oauth/callback/app_${'0'.repeat(26)}?state=c`, {}], ['/v1/agent/challenge', challenge]] as const) {
    const { headers } = await fetch(`${vault.urls.public}${path}`, init)
    for (const name of ['limit', 'remaining', 'reset']) {
      t.match(headers.get(`ratelimit-${name}`), /^\d+$/, `${path}: ${name}`)
      t.equal(headers.get(`x-ratelimit-${name}`), null)
    }
  }
})
