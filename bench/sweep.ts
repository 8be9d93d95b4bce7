import { setTimeout as wait } from 'node:timers/promises'
import pg from 'pg'
import { readConfig } from '../src/config.ts'
import { GLOBAL_OWNER, newId, type AppOwner, type WorkspaceId } from '../src/ids.ts'
import { createLog } from '../src/log.ts'
import { openRooms } from '../src/rooms.ts'
import { query } from '../test/support/cluster.ts'
import { seedLinked } from '../test/support/seed.ts'
import { measure, median, type Compared } from './harness.ts'
import { requireOurs, setStage, WORKSPACE, type Stage } from './stage.ts'

interface Options {
  readonly rounds: number
  readonly seconds: number
}

const ROWS = 40_000
const WORKSPACES = 20
/** As many as the sweep writes at a time. */
const PAGE = 250
const UNBOUNDED = 1_000_000
/** To ask costs the vault as much as some rows; when it was done, it says itself. */
const ASKED_EVERY_MS = 100

/** Rows sealed again per second, against rows that a bare UPDATE writes in pages of the same size. */
export async function compareSweep ({ rounds }: Options): Promise<Compared> {
  return await withRows(async (stage) => {
    await requireOurs(stage)
    await bareUpdate(stage)
    await sweep(stage)
    const measured: { ours: number, bare: number }[] = []
    for (let round = 0; round < rounds; round++) {
      const first = round % 2 === 0 ? await bareUpdate(stage) : undefined
      const ours = await sweep(stage)
      measured.push({ ours, bare: first ?? await bareUpdate(stage) })
    }
    const ratios = measured.map(({ ours, bare }) => ours / bare)
    const reference = median(measured.map(({ bare }) => bare))
    return { ours: median(measured.map(({ ours }) => ours)), reference, ratio: median(ratios), rounds: ratios, p99: 0 }
  })
}

/** p99 of resolves while a sweep goes on at its own speed, against before. */
export async function compareSweepLatency ({ rounds, seconds }: Options): Promise<Compared> {
  return await withRows(async (stage) => {
    await requireOurs(stage)
    const pathOf = (id: string) => `/v1/workspaces/${WORKSPACE}/connections/${id}/resolve`
    const requests = stage.ids.map((id) => stage.post(pathOf(id), { environment: 'sandbox' }))
    const load = { url: stage.vault.urls.internal, requests }
    await measure(load, seconds)
    const measured: { before: number, during: number }[] = []
    for (let round = 0; round < rounds; round++) {
      const { p99: before } = await measure(load, seconds)
      await rotate(stage, {})
      const { p99: during } = await measure(load, seconds)
      if ((await status(stage)).state !== 'running') throw new Error('the sweep was over before the measurement')
      measured.push({ before, during })
      await ask(stage, 'POST', 'keys/sweep', { rows_per_second: UNBOUNDED })
      await untilIdle(stage)
      await vacuum(stage)
    }
    const ratios = measured.map(({ before, during }) => during / before)
    const during = median(measured.map((round) => round.during))
    return { ours: during, reference: median(measured.map(({ before }) => before)), ratio: median(ratios), rounds: ratios, p99: during }
  })
}

async function withRows<T> (work: (stage: Stage) => Promise<T>): Promise<T> {
  const stage = await setStage(500)
  try {
    const config = readConfig('serve', { NODE_ENV: 'test', ...stage.settings })
    const rooms = await openRooms({ ...config, databaseUrl: stage.databaseUrl, keyringFile: stage.keyringFile }, createLog('error', process.stderr))
    try {
      for (let at = 0; at < WORKSPACES; at++) await seedLinked(rooms, placeOf(at), Array.from({ length: ROWS / WORKSPACES }, () => grantOf(newId('request'))))
    } finally {
      await rooms.close()
    }
    await query(stage.ownerUrl, "create table swept (like credential_versions including all); insert into swept select * from credential_versions where workspace_id like 'swept-%'")
    await vacuum(stage)
    return await work(stage)
  } finally {
    await stage.stop()
  }
}

function placeOf (at: number) {
  return {
    workspaceId: `swept-${at}` as WorkspaceId, environment: 'sandbox' as const, integration: 'linear', auth: 'oauth', hosts: ['api.linear.app'],
    app: { owner: GLOBAL_OWNER as AppOwner, id: newId('app') },
  }
}

function grantOf (text: string) {
  return { accessToken: `lin_oauth_${text}`, refreshToken: `lin_refresh_${text}`, expiresAt: new Date(Date.now() + 1e10), nextRefreshAt: null }
}

/**
 * What the sweep writes, without anything that makes it worth writing: the same columns of a table
 * with the same rows and indexes. Key ids change, as they do in a sweep.
 */
async function bareUpdate (stage: Stage): Promise<number> {
  const client = new pg.Client({ connectionString: stage.ownerUrl })
  await client.connect()
  try {
    const { rows } = await client.query<Copied>(`select ${COPIED.join(', ')} from swept`)
    const began = performance.now()
    for (let at = 0; at < rows.length; at += PAGE) {
      const page = rows.slice(at, at + PAGE).map((row) => ({ ...row, key_id: `${row.key_id.slice(0, -1)}${row.key_id.endsWith('0') ? '1' : '0'}` }))
      await client.query({
        name: 'bare',
        text: `update swept v set sealed = n.sealed, key_id = n.key_id
                 from unnest($1::text[], $2::text[], $3::text[], $4::bytea[], $5::text[]) as n (workspace_id, connection_id, id, sealed, key_id)
                where v.workspace_id = n.workspace_id and v.connection_id = n.connection_id and v.id = n.id`,
        values: COPIED.map((column) => page.map((row) => row[column])),
      })
    }
    const perSecond = rows.length / (performance.now() - began) * 1_000
    await vacuum(stage)
    return perSecond
  } finally {
    await client.end()
  }
}

const COPIED = ['workspace_id', 'connection_id', 'id', 'sealed', 'key_id'] as const
type Copied = Readonly<Record<Exclude<typeof COPIED[number], 'sealed'>, string>> & { readonly sealed: Buffer }

async function sweep (stage: Stage): Promise<number> {
  await rotate(stage, { rows_per_second: UNBOUNDED })
  while ((await status(stage)).rows_total === 0) await wait(5)
  const began = Date.now()
  const { rows_done: rows, rows_failed: failed, finished_at: finished } = await untilIdle(stage)
  const perSecond = rows / (Date.parse(finished ?? '') - began) * 1_000
  if (rows < ROWS || failed > 0) throw new Error(`${rows} rows were sealed again, ${failed} were not`)
  await vacuum(stage)
  return perSecond
}

interface Status {
  readonly state: string
  readonly rows_total: number
  readonly rows_done: number
  readonly rows_failed: number
  readonly finished_at: string | null
}

async function rotate (stage: Stage, pace: { rows_per_second?: number }): Promise<void> {
  await ask(stage, 'POST', 'keys/rotate', { target: 'workspace' })
  if (pace.rows_per_second !== undefined) await ask(stage, 'POST', 'keys/sweep', pace)
}

async function status (stage: Stage): Promise<Status> {
  return await ask(stage, 'GET', 'keys/sweep') as Status
}

async function untilIdle (stage: Stage): Promise<Status> {
  for (;;) {
    const now = await status(stage)
    if (now.state === 'idle') return now
    await wait(ASKED_EVERY_MS)
  }
}

async function ask (stage: Stage, method: string, path: string, body?: object): Promise<unknown> {
  const response = await fetch(`${stage.vault.urls.internal}/v1/${path}`, {
    method, headers: { authorization: `Bearer ${stage.token}`, 'content-type': 'application/json' }, ...body && { body: JSON.stringify(body) },
  })
  if (!response.ok) throw new Error(`${path}: ${response.status} ${await response.text()}`)
  return await response.json()
}

/** So that no round pays for the dead rows of another. */
async function vacuum (stage: Stage): Promise<void> {
  await query(stage.ownerUrl, 'vacuum analyze credential_versions')
  await query(stage.ownerUrl, 'vacuum analyze swept')
}
