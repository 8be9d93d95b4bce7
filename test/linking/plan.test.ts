import fc from 'fast-check'
import t from 'tap'
import { judgeFixedEnd, planRefresh, planRetry, planSecondUse } from '../../src/connections/refresh-plan.ts'

/** When tokens are renewed, as arithmetic: no clock, no sleep. */
const at = new Date('2026-03-28T23:00:00Z')
const later = (seconds: number) => new Date(at.getTime() + seconds * 1_000)
const secondsAfter = (date: Date | null) => date === null ? null : (date.getTime() - at.getTime()) / 1_000
const DAY = 86_400
const rotating = { issued: 'always', rotates: true } as const
const ending = (seconds: number | null) => seconds === null ? null : later(seconds)
const times = (token: number | null, refresh: number | null = null) => ({ at, tokenExpiresAt: ending(token), refreshExpiresAt: ending(refresh) })

t.test('before the end of the token', async (t) => {
  t.equal(secondsAfter(planRefresh(rotating, times(3_600), 0)), 3_240, 'a tenth of its life')
  t.equal(secondsAfter(planRefresh(rotating, times(1_800), 0)), 1_500, 'or five minutes, whichever is longer')
  t.equal(secondsAfter(planRefresh({ ...rotating, margin_seconds: 600 }, times(3_600), 0)), 3_000, 'or what the manifest says')
  t.equal(secondsAfter(planRefresh(rotating, times(60), 0)), 30, 'of a short life half is left')
  t.equal(secondsAfter(planRefresh(rotating, times(60), 1)), 20, 'or up to two thirds: what was linked together is not renewed together')
  t.equal(planRefresh(rotating, times(null), 0), null, 'one without an end is not renewed by itself')
  fc.assert(fc.property(fc.integer({ min: 1, max: 400 * DAY }), fc.double({ min: 0, max: 1, noNaN: true }), (life, random) => {
    const due = secondsAfter(planRefresh(rotating, times(life), random)) ?? -1
    const margin = Math.min(Math.max(300, life / 10), life / 2)
    return due <= life - margin + 0.001 && due >= (life < 600 ? life / 3 : life - margin * 1.2) - 0.001
  }))
})

t.test('before an unused refresh token ends', async (t) => {
  const jira = { ...rotating, idle_seconds: 90 * DAY }
  t.equal(secondsAfter(planRefresh(jira, times(null), 0)), 45 * DAY, 'at half of it, used or not')
  t.equal(secondsAfter(planRefresh(jira, times(3_600), 0)), 3_240, 'or with the token, whichever is first')
  t.equal(secondsAfter(planRefresh(rotating, times(null, 100 * DAY), 0)), 50 * DAY, 'an end that the provider told')
  fc.assert(fc.property(fc.double({ min: 0, max: 1, noNaN: true }), (random) => {
    const due = secondsAfter(planRefresh(jira, times(null), random)) ?? 0
    return due <= 45 * DAY && due >= 45 * DAY / 1.2 - 1
  }), { numRuns: 200 })
})

t.test('an end that renewing does not move', async (t) => {
  const from = (seconds: number | null) => ({ at, refreshExpiresAt: ending(seconds), endsAt: null })
  const on = (passed: number, end: number | null) => ({ at: later(passed), refreshExpiresAt: ending(end) })
  const judge = (first: number | null, passed: number, end: number | null) => secondsAfter(judgeFixedEnd(from(first), on(passed, end)))
  t.equal(judge(60 * DAY, 1_800, 60 * DAY), 60 * DAY, 'the same end')
  t.equal(judge(60 * DAY, 1_800, 60 * DAY + 2), 60 * DAY + 2, 'or as good as the same: providers tell it in seconds from now')
  t.equal(judge(60 * DAY, 1_800, 60 * DAY + 1_800), null, 'one that moves along')
  t.equal(judge(60 * DAY, 40 * DAY, 100 * DAY), null)
  t.equal(judge(60 * DAY, 1_800, null), null)
  t.equal(judge(null, 1_800, 60 * DAY), null)
  t.equal(judge(60 * DAY, 5, 60 * DAY), null, 'two in a minute tell nothing')
  t.equal(secondsAfter(judgeFixedEnd({ ...from(60 * DAY), endsAt: later(60 * DAY) }, on(5, 60 * DAY + 5))), 60 * DAY, 'what was known stays')
})

t.test('the hour that summer time skips is an hour like any', async (t) => {
  // 2026-03-29, 01:00 UTC: most of Europe moves its clocks.
  t.equal(planRefresh(rotating, times(7_200), 0)?.toISOString(), '2026-03-29T00:48:00.000Z')
})

t.test('after a failure that spent nothing', async (t) => {
  for (let failures = 0; failures < 40; failures++) {
    const most = 1 + Math.min(2 * 2 ** failures, 600)
    t.equal(secondsAfter(planRetry(at, { failures }, 0)), 1)
    t.equal(secondsAfter(planRetry(at, { failures }, 1)), most)
  }
  t.equal(secondsAfter(planRetry(at, { failures: 0, retryAfterSeconds: 90 }, 1)), 90, 'not before the provider’s word')
  t.equal(secondsAfter(planRetry(at, { failures: 0, retryAfterSeconds: 900_000 }, 0)), 3_600, 'which is not believed without bound')
})

t.test('a token that may have been spent', async (t) => {
  const xero = { ...rotating, grace_seconds: 1_800 }
  const second = (refresh: typeof xero | typeof rotating | { issued: 'always', rotates: false }, now: number, token: number | null) =>
    secondsAfter(planSecondUse(refresh, { lostAt: at, tokenExpiresAt: ending(token), now: later(now) }))
  t.equal(second({ issued: 'always', rotates: false }, 5, 3_600), 5, 'one that does not rotate can’t be spent')
  t.equal(second(xero, 5, 3_600), 5, 'within the grace at once')
  t.equal(second(xero, 1_790, 3_600), 3_540, 'not when the grace is nearly over')
  t.equal(second(rotating, 5, 3_600), 3_540, 'without a grace when little is left to lose')
  t.equal(second(rotating, 5, null), 5, 'nothing is known to be lost')
  t.equal(second(rotating, 9_000, 3_600), 9_000, 'nothing is left')
})
