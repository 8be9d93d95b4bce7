import { once } from 'node:events'
import { createServer } from 'node:http'
import { connect, type AddressInfo } from 'node:net'
import t from 'tap'
import { PATIENCE } from '../../src/http/admission/admission.ts'
import { createCallers } from '../../src/http/admission/callers.ts'
import { createPlaces, createShare, type Share } from '../../src/http/admission/places.ts'
import { judgeLimit } from '../../src/http/admission/pressure.ts'
import { createRests } from '../../src/http/admission/rests.ts'
import { turnAway } from '../../src/http/admission/turn-away.ts'

/** Who gets a place, who waits and in which order, and who is turned away: without a clock and without a network, but for connections that rest. */
const SHORT = { burstMs: 250, standingMs: 50, calmMs: 1_000 }

function stage (most: number, patience = SHORT) {
  const places = createPlaces(most, patience)
  const said: string[] = []
  const wait = (share: Share, name: string, sinceMs = 0) => {
    const waiter = { sinceMs, gone: false, enter: () => { said.push(`${name} in`) }, turnAway: () => { said.push(`${name} away`) } }
    places.wait(share, waiter)
    return waiter
  }
  return { places, said, wait }
}

t.test('half of the places and of the queue is all that one caller gets', async (t) => {
  const { places, wait } = stage(8)
  const [noisy, polite] = [createShare(), createShare()]
  t.same(Array.from({ length: 6 }, () => places.take(noisy)), [true, true, true, true, false, false])
  for (let one = 0; one < 16; one++) {
    t.ok(places.hasRoom(noisy, 0), 'of a burst four times as much')
    wait(noisy, `noisy ${one}`)
  }
  t.notOk(places.hasRoom(noisy, 0))
  t.ok(places.hasRoom(polite, 0))
  t.same(Array.from({ length: 5 }, () => places.take(polite)), [true, true, true, true, false])
  t.match(places.count(), { inside: 8, waiting: 16, limit: 8 })
})

t.test('a queue that stands may be as long as there are places', async (t) => {
  const { places, wait } = stage(8)
  const one = createShare()
  for (let place = 0; place < 4; place++) places.take(one)
  wait(one, 'first')
  places.expire(300)
  for (let count = 0; count < 4; count++) {
    t.ok(places.hasRoom(one, 310))
    wait(one, `${count}`, 310)
  }
  t.notOk(places.hasRoom(one, 310))
})

t.test('who waits takes turns with the others, whatever each has in line', async (t) => {
  const { places, said, wait } = stage(4)
  const [noisy, polite, other] = [createShare(), createShare(), createShare()]
  for (const share of [noisy, noisy, other, other]) t.ok(places.take(share))
  wait(noisy, 'noisy 1')
  wait(noisy, 'noisy 2')
  wait(polite, 'polite 1')
  wait(polite, 'polite 2')
  places.leave(other)
  t.same(said, ['polite 1 in'], 'one that has its half is passed over')
  places.leave(noisy)
  t.same(said, ['polite 1 in', 'noisy 1 in'])
  places.leave(other)
  t.same(said, ['polite 1 in', 'noisy 1 in', 'polite 2 in'])
  places.leave(noisy)
  t.same(said, ['polite 1 in', 'noisy 1 in', 'polite 2 in', 'noisy 2 in'])
  t.match(places.count(), { inside: 4, waiting: 0 })
  t.match([noisy.inside, polite.inside, other.inside], [2, 2, 0])
})

t.test('a request does not overtake those of its caller that wait', async (t) => {
  const { places, wait } = stage(2)
  const one = createShare()
  t.ok(places.take(one))
  const waiter = wait(one, 'first')
  places.resize(4)
  t.match(places.count(), { inside: 2, waiting: 0 }, 'more places let in who waits')
  const second = wait(one, 'second')
  t.notOk(places.take(one))
  places.abandon(second)
  places.leave(one)
  t.ok(places.take(one), 'but for those whose callers have left')
  t.equal(waiter.gone, false)
})

t.test('whoever left does not get a place, and is counted off once', async (t) => {
  const { places, said, wait } = stage(2)
  const [a, b] = [createShare(), createShare()]
  t.ok(places.take(a))
  t.ok(places.take(b))
  const gone = wait(a, 'gone')
  wait(a, 'still there')
  places.abandon(gone)
  places.abandon(gone)
  t.match(places.count(), { waiting: 1 })
  places.leave(a)
  t.same(said, ['still there in'])
  t.match(places.count(), { inside: 2, waiting: 0 })
})

t.test('a burst is waited for longer than a queue that does not end', async (t) => {
  const { places, said, wait } = stage(4)
  const [one, other] = [createShare(), createShare()]
  for (const share of [one, one, other, other]) places.take(share)
  wait(one, 'first', 0)
  places.expire(249)
  t.same(said, [], 'it has only just begun')
  wait(one, 'second', 240)
  places.expire(251)
  t.same(said, ['first away'])
  wait(other, 'of another', 280)
  places.expire(291)
  t.same(said, ['first away', 'second away'], 'the queue is older than a burst')
  places.expire(400)
  t.same(said, ['first away', 'second away'], 'another caller’s is its own')
  t.match(places.count(), { inside: 4, waiting: 1 })
  wait(one, 'again', 500)
  places.expire(551)
  t.ok(said.includes('again away'), 'one that was gone for a moment has not ended')
  wait(one, 'later', 1_600)
  places.expire(1_700)
  t.notOk(said.includes('later away'), 'after a while it begins anew')
})

t.test('queues behind a few late commits in a row are bursts, with the patience of the service', async (t) => {
  const { places, said, wait } = stage(4, PATIENCE)
  const one = createShare()
  for (const atMs of [0, 500, 900]) {
    t.ok(places.take(one) && places.take(one))
    wait(one, `${atMs}`, atMs)
    places.expire(atMs + 300)
    places.leave(one)
    places.leave(one)
    places.leave(one)
  }
  t.same(said, ['0 in', '500 in', '900 in'])
})

/** How many are turned away of a queue of 40, with a burst’s patience of 250 ms, when so many come in each tenth of a second and 20 are done. */
function workOff (arrivals: readonly number[]): number {
  const { places, said, wait } = stage(4)
  const one = createShare()
  for (let place = 0; place < 2; place++) places.take(one)
  for (let count = 0; count < 40; count++) wait(one, '', 0)
  for (const [at, coming] of arrivals.entries()) {
    const nowMs = (at + 1) * 100
    for (let done = 0; done < 20 && one.inside > 0; done++) places.leave(one)
    while (one.inside < 2) places.take(one)
    for (let count = 0; count < coming; count++) wait(one, '', nowMs)
    places.expire(nowMs)
  }
  return said.filter((word) => word.includes('away')).length
}

t.test('a queue that becomes shorter is a burst, however long it takes', async (t) => {
  t.equal(workOff([14, 14, 14, 14, 14, 14, 14, 14]), 0, 'at 70 % of what can be done it takes three times as long as the patience with a burst')
  t.ok(workOff([20, 20, 20, 20, 20, 20]) > 0, 'one that stays as long as it is does not')
  t.ok(workOff([8, 32, 8, 32, 8, 32, 8, 32]) > 0, 'nor one that goes up and down')
  t.equal(workOff([8, 8, 8, 34, 14, 14, 14, 14, 14, 14]), 0, 'a second burst behind the first is worked off with it')
})

t.test('a request that ends at once does not pile up on those before it', async (t) => {
  const places = createPlaces(40_000, SHORT)
  const one = createShare()
  places.resize(2)
  t.ok(places.take(one))
  let depth = 0
  let deepest = 0
  let ended = 0
  for (let count = 0; count < 20_000; count++) {
    places.wait(one, {
      sinceMs: 0, gone: false, turnAway: () => {},
      enter: () => {
        deepest = Math.max(deepest, ++depth)
        ended++
        places.leave(one)
        depth--
      },
    })
  }
  places.leave(one)
  t.equal(ended, 20_000)
  t.equal(deepest, 1)
  t.match(places.count(), { inside: 0, waiting: 0 })
})

t.test('how many may be at work', async (t) => {
  const of = { most: 512, least: 64 }
  t.equal(judgeLimit(512, { ...of, lateMs: 60, cpu: 1 }), 384)
  t.equal(judgeLimit(70, { ...of, lateMs: 500, cpu: 1 }), 64, 'never fewer than the least')
  t.equal(judgeLimit(64, { ...of, lateMs: 20, cpu: 1 }), 64, 'neither late nor early')
  t.equal(judgeLimit(64, { ...of, lateMs: 1, cpu: 1 }), 80)
  t.equal(judgeLimit(510, { ...of, lateMs: 0, cpu: 0 }), 512, 'never more than the most')
  t.equal(judgeLimit(128, { ...of, lateMs: 200, cpu: 0.3 }), 144, 'who does not get the processor is not helped by doing less')
  let limit = 512
  for (let looks = 0; looks < 20; looks++) limit = judgeLimit(limit, { ...of, lateMs: limit / 4, cpu: 1 })
  t.ok(limit >= 60 && limit <= 130, `it settles where turns are short enough: ${limit}`)
})

t.test('callers are known by tokens that were accepted, and everybody else is one', async (t) => {
  const callers = createCallers()
  const bearer = (end: string) => `Bearer cvt_${'0'.repeat(40)}${end}`
  t.equal(callers.find(undefined), callers.strangers)
  t.equal(callers.find(bearer('aaaaaaaaaaaaa')), callers.strangers)
  const one = callers.know(bearer('aaaaaaaaaaaaa'), 'tok_1')
  t.not(one, callers.strangers)
  t.equal(callers.find(bearer('aaaaaaaaaaaaa')), one)
  t.equal(callers.know(bearer('bbbbbbbbbbbbb'), 'tok_1'), one, 'a caller of many tokens is one')
  t.not(callers.know(bearer('ccccccccccccc'), 'tok_2'), one)
  callers.forget(bearer('aaaaaaaaaaaaa'))
  t.equal(callers.find(bearer('aaaaaaaaaaaaa')), callers.strangers)
  t.equal(callers.find(bearer('bbbbbbbbbbbbb')), one)
  t.equal(callers.know('Bearer short', 'tok_1'), callers.strangers, 'of what is no token nothing is remembered')
})

t.test('a connection over which a request was refused is not read for a moment, though nobody has read its body', async (t) => {
  const rests = createRests()
  const seenMs: number[] = []
  const server = createServer((request, response) => {
    seenMs.push(performance.now())
    turnAway(request, response)
    rests.rest(request.socket)
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const socket = connect((server.address() as AddressInfo).port, '127.0.0.1')
  t.teardown(() => {
    socket.destroy()
    server.close()
  })
  const refusedMs: number[] = []
  for (let one = 0; one < 3; one++) {
    socket.write('POST / HTTP/1.1\r\nhost: vault\r\ncontent-length: 3\r\n\r\nabc')
    const [answer] = await once(socket, 'data') as [Buffer]
    t.match(answer.toString('latin1'), /^HTTP\/1\.1 503 [^]*retry-after: \d/i)
    refusedMs.push(performance.now())
  }
  for (const after of [1, 2]) t.ok((seenMs[after] ?? 0) - (refusedMs[after - 1] ?? 0) > 30, 'what was sent at once is looked at later')
})
