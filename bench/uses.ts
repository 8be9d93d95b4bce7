import { parseArgs } from 'node:util'
import { query } from '../test/support/cluster.ts'
import { runCli, startVaultProcess } from '../test/support/process.ts'
import { measure } from './harness.ts'
import { listResolvable, toResolves } from './seeded.ts'

/** `node bench/uses.ts --seconds 60`: what a resolve costs on disk, in the record and in the write-ahead log, in a seeded vault. Needs OWNER_DATABASE_URL. For docs/capacity.md. */
const { values: { seconds } } = parseArgs({ options: { seconds: { type: 'string', default: '60' } } })
const { OWNER_DATABASE_URL: owner, DATABASE_URL: service, KEYRING_FILE: keyring } = process.env
if (owner === undefined || service === undefined || keyring === undefined) throw new Error('OWNER_DATABASE_URL, DATABASE_URL and KEYRING_FILE are needed')
const env = { DATABASE_URL: service, KEYRING_FILE: keyring, RATE_LIMIT_PER_MINUTE: '1000000000' }

interface Reading {
  readonly wal: number
  readonly fpi: number
  readonly record: number
  readonly chain: number
  readonly events: number
  readonly links: number
}
async function read (): Promise<Reading> {
  // The counts of a session are handed in a second after they were made.
  await new Promise((resolve) => { setTimeout(resolve, 2_000) })
  const [reading] = await query<Reading & Record<string, unknown>>(owner ?? '', `
    select pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')::float8 as wal, (select wal_fpi from pg_stat_wal)::float8 as fpi,
           (select sum(pg_total_relation_size(relid)) from pg_partition_tree('audit_events'))::float8 as record,
           (pg_total_relation_size('audit_chain') + pg_total_relation_size('audit_checkpoints'))::float8 as chain,
           (select events from audit_sealer)::float8 as events, (select head_seq from audit_sealer)::float8 as links`)
  if (reading === undefined) throw new Error('nothing was read')
  return reading
}

const untilSealed = async () => {
  for (;;) {
    const [waiting] = await query<{ count: number }>(owner, `
      select (select count(*) from audit_unsealed)::integer + (select count(*) from audit_chain where seq > (select seq from uses_cursor))::integer as count`)
    if (waiting?.count === 0) return
    await new Promise((resolve) => { setTimeout(resolve, 500) })
  }
}

const vault = await startVaultProcess(env)
try {
  await untilSealed()
  const minted = await runCli(['tokens', 'create', '--name', 'bench', '--preset', 'runtime', '--workspaces', '*', '--environments', '*'], env).done
  const requests = toResolves(await listResolvable(owner, 20_000), /cvt_\w+/.exec(minted.output)?.[0] ?? '')
  const load = { url: vault.urls.internal, requests, spread: true } as const
  await measure(load, 10)
  await untilSealed()
  const before = await read()
  const { perSecond } = await measure(load, Number(seconds))
  await untilSealed()
  const after = await read()
  const uses = after.events - before.events
  const per = (from: number, to: number) => Math.round((to - from) / uses)
  console.log(`${uses} resolves, ${Math.round(perSecond)} a second, ${(uses / (after.links - before.links)).toFixed(1)} records a commit`)
  console.log('| of a resolve | bytes |\n|---|---|')
  console.log(`| growth of the record and its indexes, gaps of its pages filled first | ${per(before.record, after.record)} |\n| chain and checkpoints | ${per(before.chain, after.chain)} |`)
  console.log(`| write-ahead log | ${per(before.wal, after.wal)} |`)
  console.log(`${((after.fpi - before.fpi) / uses).toFixed(2)} images of whole pages a resolve: each page at its first change after a checkpoint`)
} finally {
  await vault.kill('SIGTERM')
}
