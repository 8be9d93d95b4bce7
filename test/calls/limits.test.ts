import { setTimeout as delay } from 'node:timers/promises'
import fc from 'fast-check'
import t from 'tap'
import { createCircuit } from '../../src/calls/circuit.ts'
import { createGate, type Leave } from '../../src/calls/gate.ts'

t.test('a gate lets so many in, so many wait, and refuses the rest', async (t) => {
  const gate = createGate()
  const enter = (name = 'a', timeoutMs = 5_000) => gate.enter(name, 2, { timeoutMs })
  const inside = [await enter(), await enter()]
  t.ok(inside.every((leave) => leave !== undefined))
  t.ok(await enter('b'), 'another name has places of its own')
  const waiting = Array.from({ length: 8 }, () => enter())
  t.equal(await enter(), undefined, 'four times the places may wait')
  inside[0]?.()
  inside[0]?.()
  const [first, second] = waiting
  t.ok(await first, 'the first that came is the next')
  t.equal(await Promise.race([second, delay(20, 'waits')]), 'waits', 'leaving twice lets one in')
  inside[1]?.()
  ;(await first)?.()
  t.ok(await second)
  t.ok(await waiting[2])
})

t.test('whoever gives up is not let in', async (t) => {
  const gate = createGate()
  const leave = await gate.enter('a', 1, { timeoutMs: 1 })
  const controller = new AbortController()
  const gone = gate.enter('a', 1, { timeoutMs: 5_000, signal: controller.signal })
  const late = gate.enter('a', 1, { timeoutMs: 10 })
  const patient = gate.enter('a', 1, { timeoutMs: 5_000 })
  controller.abort()
  t.equal(await gone, undefined)
  t.equal(await late, undefined)
  leave?.()
  t.ok(await patient)
  t.equal(await gate.enter('a', 1, { timeoutMs: 5_000, signal: AbortSignal.abort() }), undefined)
})

t.test('never more inside than may be, and nobody is forgotten', async (t) => {
  await fc.assert(fc.asyncProperty(fc.integer({ min: 1, max: 4 }), fc.array(fc.integer({ min: 0, max: 3 }), { maxLength: 30 }), async (limit, stays) => {
    const gate = createGate()
    let inside = 0
    let most = 0
    const results = await Promise.all(stays.map(async (stay) => {
      const leave: Leave | undefined = await gate.enter('x', limit, { timeoutMs: 10_000 })
      if (leave === undefined) return 'refused'
      most = Math.max(most, ++inside)
      for (let turn = 0; turn < stay; turn++) await Promise.resolve()
      inside--
      leave()
      return 'served'
    }))
    const refused = results.filter((result) => result === 'refused').length
    return most <= limit && inside === 0 && refused === Math.max(0, stays.length - limit * 5)
  }))
  t.pass()
})

t.test('a circuit pauses an origin that can’t be reached, and probes it', async (t) => {
  let nowMs = 0
  const circuit = createCircuit({ monotonicMs: () => nowMs })
  const fail = (times: number) => { for (let one = 0; one < times; one++) circuit.note('https://a', false) }
  fail(4)
  t.equal(circuit.pausedMs('https://a'), undefined)
  circuit.note('https://a', true)
  fail(4)
  t.equal(circuit.pausedMs('https://a'), undefined, 'only failures in a row count')
  fail(1)
  t.equal(circuit.pausedMs('https://a'), 1_000)
  t.equal(circuit.pausedMs('https://b'), undefined)
  nowMs = 1_000
  t.equal(circuit.pausedMs('https://a'), undefined, 'one probe')
  t.equal(circuit.pausedMs('https://a'), 1_000, 'and only one')
  fail(1)
  t.equal(circuit.pausedMs('https://a'), 2_000, 'longer each time')
  fail(20)
  t.equal(circuit.pausedMs('https://a'), 30_000, 'up to a bound')
  nowMs += 30_000
  t.equal(circuit.pausedMs('https://a'), undefined)
  circuit.note('https://a', true)
  t.equal(circuit.pausedMs('https://a'), undefined)
  fail(4)
  t.equal(circuit.pausedMs('https://a'), undefined, 'reached once, all is forgotten')
})
