import { connect, type AddressInfo, type Socket } from 'node:net'
import { setTimeout as wait } from 'node:timers/promises'
import Fastify from 'fastify'
import t from 'tap'
import { createLog } from '../../src/log.ts'
import { dropUnread } from '../../src/http/unread.ts'

/** Callers that ask for much and read nothing of it, or little at a time. */
const MB = 2 ** 20
/** More than the system's own buffers take. */
const BIG = Buffer.alloc(8 * MB, 'a')
const HUGE = Buffer.alloc(64 * MB, 'a')

async function start (limits: { stillMs?: number, bytesMax?: number }) {
  const app = Fastify()
  dropUnread(app, { listener: 'internal', log: createLog('silent', process.stderr), ...limits })
  app.get('/big', async () => BIG)
  app.get('/huge', async () => HUGE)
  app.get('/slow', async () => {
    await wait(2_500)
    return 'done'
  })
  await app.listen({ host: '127.0.0.1', port: 0 })
  t.teardown(async () => { await app.close() })
  const { port } = app.server.address() as AddressInfo
  const ask = async (path: string, reads: boolean): Promise<{ socket: Socket, taken: () => number, closed: () => boolean }> => {
    const socket = connect({ host: '127.0.0.1', port })
    let [taken, closed] = [0, false]
    socket.on('data', (chunk) => { taken += chunk.length }).on('close', () => { closed = true }).on('error', () => {})
    if (!reads) socket.pause()
    socket.write(`GET ${path} HTTP/1.1\r\nhost: here\r\n\r\n`)
    t.teardown(() => { socket.destroy() })
    // A paused socket does not notice its end until it reads.
    return { socket, taken: () => taken, closed: () => closed }
  }
  const openOnes = async (): Promise<number> => await new Promise((resolve, reject) => {
    app.server.getConnections((error, count) => { if (error === null) resolve(count); else reject(error) })
  })
  return { ask, openOnes }
}

t.test('an answer of which nothing is taken is given up', async (t) => {
  const { ask, openOnes } = await start({ stillMs: 1_000 })
  await ask('/big', false)
  await wait(600)
  t.equal(await openOnes(), 1)
  await wait(3_000)
  t.equal(await openOnes(), 0)
})

t.test('one that is taken slowly is not', async (t) => {
  const { ask, openOnes } = await start({ stillMs: 1_000 })
  const { socket, taken } = await ask('/huge', false)
  const until = performance.now() + 4_000
  while (performance.now() < until) {
    socket.resume()
    await wait(1)
    socket.pause()
    await wait(200)
  }
  t.equal(await openOnes(), 1)
  t.ok(taken() < HUGE.length, `${taken()} bytes so far`)
  socket.resume()
  while (taken() < HUGE.length) await wait(20)
  socket.write('GET /slow HTTP/1.1\r\nhost: here\r\n\r\n')
  const before = taken()
  await wait(4_000)
  t.ok(taken() > before, 'and its next request may take as long as it likes')
})

t.test('when there are too many, those that wait the longest are given up', async (t) => {
  const { ask, openOnes } = await start({ bytesMax: 20 * MB })
  for (let made = 0; made < 2; made++) await ask('/big', false)
  await wait(1_200)
  t.equal(await openOnes(), 2)
  for (let made = 0; made < 4; made++) await ask('/big', false)
  await wait(1_500)
  const left = await openOnes()
  t.ok(left >= 2 && left <= 3, `${left} are left`)
  const reader = await ask('/big', true)
  while (reader.taken() < BIG.length && !reader.closed()) await wait(20)
  t.ok(reader.taken() >= BIG.length, 'who reads gets an answer')
})
