import { print } from './output.ts'
import { withRooms } from './session.ts'

export async function verifyAudit (options: { checkpoint?: string }): Promise<void> {
  await withRooms(async ({ ledger }) => {
    const { ok, links, events, findings } = await ledger.verify(options.checkpoint)
    for (const finding of findings) print(`${finding.kind}  ${finding.at}`)
    print(ok ? `the record is whole: ${events} records in ${links} links` : `the record was changed: ${findings.length} findings`)
    if (!ok) process.exitCode = 1
  })
}
