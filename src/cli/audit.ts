import { readConfig } from '../config.ts'
import type { ExportedEvent } from '../ledger/index.ts'
import { pruneAuditAs } from '../store/index.ts'
import { fail, print, printLines } from './output.ts'
import { withRooms } from './session.ts'

export async function verifyAudit (options: { checkpoint?: string }): Promise<void> {
  await withRooms(async ({ ledger }) => {
    const { ok, links, events, findings } = await ledger.verify(options.checkpoint)
    for (const finding of findings) print(`${finding.kind}  ${finding.at}`)
    print(ok ? `the record is whole: ${events} records in ${links} links` : `the record was changed: ${findings.length} findings`)
    if (!ok) process.exitCode = 1
  })
}

export async function exportAudit ({ from, to, after }: { from?: string, to?: string, after?: string }): Promise<void> {
  await withRooms(async ({ ledger }) => {
    const range = { ...from !== undefined && { from: instant('--from', from) }, ...to !== undefined && { to: instant('--to', to) }, ...after !== undefined && { after } }
    await printLines(toLines(ledger.exportEvents(range)))
  })
}

export async function pruneAudit ({ keepMonths }: { keepMonths: number }): Promise<void> {
  const url = readConfig().retentionDatabaseUrl
  if (url === undefined) fail('RETENTION_DATABASE_URL is missing: Postgres as a member of connection_vault_retention')
  await withRooms(async ({ ledger, clock }) => {
    const now = clock.now()
    const keptFrom = new Date(Date.UTC(now.getUTCFullYear(), now.getUTCMonth() - keepMonths, 1))
    // What cannot be verified must not become the beginning of the record.
    const { ok } = await ledger.verify()
    if (!ok) fail('the record was changed: look at `connection-vault audit verify` first, nothing was dropped')
    const pruned = await pruneAuditAs(url, async () => await ledger.anchor(keptFrom, { principal: { kind: 'operator', id: 'cli', actor: null } }))
    print(pruned === undefined
      ? `nothing ended before ${keptFrom.toISOString()}`
      : `${pruned.months} months dropped; the record begins after link ${pruned.seq} and keeps everything from ${keptFrom.toISOString()}`)
  })
}

async function * toLines (events: AsyncIterable<ExportedEvent>): AsyncGenerator<string> {
  for await (const { cursor, occurred_at: at, batch_id: _batch, ...event } of events) yield JSON.stringify({ cursor, occurred_at: at.toISOString(), ...event })
}

function instant (option: string, text: string): Date {
  const at = new Date(text)
  if (!/^\d{4}-\d\d-\d\dT/.test(text) || Number.isNaN(at.getTime())) fail(`${option} must be an instant such as 2027-01-31T00:00:00Z`)
  return at
}
