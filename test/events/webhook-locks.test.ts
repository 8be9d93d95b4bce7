import t from 'tap'
import { createHooks, hook, startReceiver } from '../support/receiver.ts'
import { eventually, startTestVault } from '../support/vault.ts'

/** Webhooks that are changed while their deliveries end: both hold rows that the other wants. */
const receiver = await startReceiver()
const vault = await startTestVault({ EGRESS_ALLOW_WEBHOOK: receiver.endpoint })
t.teardown(async () => {
  await vault.close()
  await receiver.close()
})
const { make } = createHooks(vault)
const EVENTS = 200
const ROUNDS = 8

for (let made = 0; made < EVENTS; made += 20) await Promise.all(Array.from({ length: 20 }, async () => await vault.connect('ws_locks')))
await eventually(async () => (await vault.database.query('select 1 from events where seq is not null')).length >= EVENTS)

/** Replays over and over while deliveries are under way, then deletes in the midst of them. Answers every status. */
const hammer = async (): Promise<number[]> => {
  const { id } = await make(receiver)
  const replay = async () => (await vault.request('POST', `${hook(id)}/replay`, { body: { from: '2020-01-01T00:00:00Z', include_delivered: true } })).status
  const statuses = [await replay()]
  const seen = receiver.received.length
  await eventually(async () => receiver.received.length > seen)
  for (const _ of Array.from({ length: 6 })) statuses.push(await replay())
  statuses.push((await vault.request('DELETE', hook(id))).status)
  return statuses
}

for (const [what, status] of [['refused', 500], ['taken', 204]] as const) {
  t.test(`deliveries that are ${what}`, async (t) => {
    receiver.answer = (_received, reply) => { reply.writeHead(status).end() }
    const rounds = await Promise.all([1, 2].map(async () => {
      const statuses: number[] = []
      for (let round = 0; round < ROUNDS; round++) statuses.push(...await hammer())
      return statuses
    }))
    t.strictSame([...new Set(rounds.flat())].sort(), [202, 204])
    t.notMatch(vault.logs.join(''), /deadlock|could not be delivered/)
  })
}
