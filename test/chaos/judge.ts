import type { Sent } from './authority.ts'
import type { LoadResult } from './load.ts'
import type { Replicas } from './replicas.ts'
import { query, WORKSPACE, type Stage } from './stage.ts'

interface Evidence {
  readonly load: LoadResult
  readonly replicas: Replicas
  readonly seed: number
}

interface Lost {
  readonly id: string
  readonly reason: string
}

/** Counts what came of it, prints it, and says whether every bar is met. */
export async function judge (stage: Stage, { load, replicas, seed }: Evidence): Promise<boolean> {
  const unknown = await connectionsWithUnknown(stage)
  const account = new Map(stage.ids.map((id, index) => [id, `account-${index}`]))
  const idOf = new Map(stage.ids.map((id, index) => [`account-${index}`, id]))
  const repeated = listRepeated(stage.sent)
  const unexplained = repeated.filter((again) => !unknown.has(idOf.get(again.account) ?? '') && !replicas.pauses.some(({ from, to }) => again.last >= from && again.first <= to))
  const lost = await query<Lost>(stage.owner, "select id, health_reason as reason from connections where health <> 'active'")
  const lostWithout = lost.filter(({ id, reason }) => reason !== 'refresh_outcome_unknown' || !(unknown.has(id) || repeated.some((again) => again.account === account.get(id))))
  const wrongNotes = await countWrongNotes(stage, new Set(lost.map(({ id }) => id)))
  const broken = await countBroken(stage, replicas, new Set(lost.map(({ id }) => id)))
  const latencies = load.latenciesMs.toSorted((a, b) => a - b)
  const at = (share: number) => Math.round(latencies[Math.floor(latencies.length * share)] ?? 0)

  const facts = {
    resolves: load.resolves, 'median ms': at(0.5), 'p99 ms': at(0.99), 'asked while no token was valid': load.withoutToken, 'cut off by the harness': load.cut,
    'token requests': stage.sent.length, misbehaved: stage.sent.filter(({ act }) => act !== 'none').length, kills: replicas.kills.length, pauses: replicas.pauses.length,
    'refresh tokens sent twice': repeated.length, 'connections with an attempt on record as unknown': unknown.size, 'connections given up': lost.length,
  }
  const bars = {
    'sent twice and not explained': unexplained.length,
    'given up and not explained': lostWithout.length,
    'active but no longer working': broken,
    'errors while a valid token existed': load.errors.length,
    'changes of status not told exactly once': wrongNotes,
    'gaps in the feed': await countGaps(stage),
  }
  for (const [name, count] of Object.entries(facts)) console.log(`  ${name.padEnd(52)} ${count}`)
  for (const [name, count] of Object.entries(bars)) console.log(`${count === 0 ? '✓' : '✗'} ${name.padEnd(52)} ${count}`)
  for (const one of lostWithout.slice(0, 3)) await trace(stage, one, account.get(one.id) ?? '')
  for (const line of [...load.errors.slice(0, 5), ...unexplained.slice(0, 5).map((one) => JSON.stringify(one))]) console.log(`  ${line}`)
  console.log(JSON.stringify({ seed, ...facts, ...bars }))
  return load.resolves > 0 && stage.sent.length > 0 && Object.values(bars).every((count) => count === 0)
}

/** Tokens that came more than once, with when they came first and last. */
function listRepeated (sent: readonly Sent[]): { account: string, first: number, last: number, acts: string[] }[] {
  const byToken = Map.groupBy(sent, ({ tokenHash }) => tokenHash)
  return [...byToken.values()].filter((times) => times.length > 1 && spends(times)).map((times) => ({
    account: times[0]?.account ?? '', first: times[0]?.atMs ?? 0, last: times.at(-1)?.atMs ?? 0, acts: times.map(({ act }) => act),
  }))
}

/** An answer of 500 or 502 before anything was done is no use of the token. */
function spends (times: readonly Sent[]): boolean {
  return times.slice(0, -1).some(({ act }) => act !== 'error500' && act !== 'html502')
}

async function connectionsWithUnknown (stage: Stage): Promise<Set<string>> {
  const rows = await query<{ connection_id: string }>(stage.owner, "select distinct connection_id from audit_events where event = 'connection.refreshed' and outcome = 'unknown'")
  return new Set(rows.map((row) => row.connection_id))
}

/**
 * Connections whose changes of status have not been told once each: the audit and the feed have to
 * say the same, and one more needs_reauth than recovered, if that is where it is now.
 */
async function countWrongNotes (stage: Stage, lost: ReadonlySet<string>): Promise<number> {
  const count = async (from: string) => new Map((await query<{ id: string, changes: number, balance: number }>(stage.owner, from))
    .map(({ id, changes, balance }) => [id, { changes, balance }]))
  const [recorded, told] = [await count(changesIn('audit_events', 'event', 'connection_id')), await count(changesIn('events', 'type', 'subject_id'))]
  return stage.ids.filter((id) => {
    const [record, event] = [recorded.get(id), told.get(id)]
    return record?.changes !== event?.changes || (event?.balance ?? 0) !== (lost.has(id) ? 1 : 0)
  }).length
}

function changesIn (table: string, type: string, id: string): string {
  return `select ${id} as id, count(*)::int as changes, sum(case ${type} when 'connection.needs_reauth' then 1 else -1 end)::int as balance
    from ${table} where ${type} in ('connection.needs_reauth', 'connection.recovered') group by 1`
}

/** What the feed lacks: events without a place in it, and places without an event. */
async function countGaps (stage: Stage): Promise<number> {
  const [row] = await query<{ gaps: number }>(stage.owner, 'select (count(*) filter (where seq is null) + coalesce(max(seq), 0) - count(seq))::int as gaps from events')
  return row?.gaps ?? 1
}

/** What is known of one connection, to be read by a person. */
async function trace (stage: Stage, { id, reason }: Lost, account: string): Promise<void> {
  console.log(`  ${id}: ${reason}`)
  const events = await query<{ at: string, event: string, outcome: string, reason: string | null, version_id: string }>(stage.owner,
    "select to_char(occurred_at, 'HH24:MI:SS.MS') as at, event, outcome, reason, version_id from audit_events where connection_id = $1 and event not like '%.resolved' order by occurred_at", [id])
  for (const { at, event, outcome, reason: why, version_id: version } of events) console.log(`    ${at} ${event} ${outcome} ${why ?? ''} ${version}`)
  for (const { atMs, tokenHash, act, spentBefore } of stage.sent.filter((one) => one.account === account)) {
    console.log(`    ${new Date(atMs).toISOString().slice(11, 23)} sent ${tokenHash} ${act}${spentBefore ? ' (spent)' : ''}`)
  }
}

const SAMPLE = 100

/** Active ones whose refresh token the server does not take: lost without anybody knowing. */
async function countBroken (stage: Stage, replicas: Replicas, lost: ReadonlySet<string>): Promise<number> {
  const active = stage.ids.filter((id) => !lost.has(id)).toSorted(() => Math.random() - 0.5).slice(0, SAMPLE)
  let broken = 0
  for (const id of active) {
    const answer = await fetch(`${replicas.pick().urls.internal}/v1/workspaces/${WORKSPACE}/connections/${id}/refresh`, { method: 'POST', headers: { authorization: `Bearer ${stage.token}` } })
    if (answer.status === 409) broken++
  }
  return broken
}
