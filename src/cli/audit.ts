import { readConfig } from '../config.ts'
import type { ExportedEvent, Verification } from '../ledger/index.ts'
import { pruneAuditAs } from '../store/index.ts'
import { fail, print, printLines } from './output.ts'
import { withRooms } from './session.ts'

export async function verifyAudit (options: { checkpoint?: string }): Promise<void> {
  await withRooms(async ({ ledger }) => {
    const verification = await ledger.verify(options.checkpoint)
    const { ok, links, events, findings } = verification
    const whole = `the record is whole: ${events} records in ${links} links`
    if (ok) return print(whole)
    if (onlyWaits(verification)) return print(`${whole}; ${count(findings, 'more batch waits for its link', 'more batches wait for their links')}, for no vault has run since`)
    for (const finding of findings) print(`${finding.kind}  ${finding.at}`)
    print(`the record was changed: ${count(findings, 'finding', 'findings')}`)
    process.exitCode = 1
  })
}

/** The genuine end of a record that nobody goes on with, such as one from a backup. */
function onlyWaits ({ sealing, findings }: Verification): boolean {
  return !sealing && findings.length > 0 && findings.every(({ kind }) => kind === 'batch_unsealed')
}

function count ({ length }: readonly unknown[], one: string, more: string): string {
  return `${length} ${length === 1 ? one : more}`
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
    const verification = await ledger.verify()
    if (onlyWaits(verification)) fail('batches wait for their links, for no vault has run since: start one first, nothing was dropped')
    if (!verification.ok) fail('the record was changed: look at `connection-vault audit verify` first, nothing was dropped')
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
