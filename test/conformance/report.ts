import { CHECKS, checkVendor, type Report } from './check.ts'
import { missingDocument, VENDORS } from './documents.ts'

/** `npm run test:conformance`: a table of actions × checks; exit code 1 when one differs and is not listed. */
const MARKS: Readonly<Record<string, string>> = { ok: '✓', known: '≈', differs: '✗' }

function print (report: Report): void {
  const width = Math.max(...report.rows.map((row) => row.action.length))
  console.log(`\n${report.integration}`)
  console.log(`  ${''.padEnd(width)}  ${CHECKS.join('  ')}`)
  for (const row of report.rows) {
    const cells = CHECKS.map((check) => (MARKS[row.results[check]] ?? '?').padEnd(check.length))
    console.log(`  ${row.action.padEnd(width)}  ${cells.join('  ')}`)
  }
  for (const problem of report.problems) console.log(`  ✗ ${problem}`)
}

let actions = 0
let problems = 0
for (const vendor of VENDORS) {
  const missing = missingDocument(vendor)
  if (missing !== undefined) {
    console.log(`\n${vendor.id}: skipped: ${missing}`)
    continue
  }
  const report = await checkVendor(vendor)
  print(report)
  actions += report.rows.length
  problems += report.problems.length
}
console.log(`\n${actions} requests, ${problems} unexplained differences. ✓ as the document has it  ≈ a listed difference (test/conformance/differences.yaml)  ✗ differs`)
process.exit(problems === 0 ? 0 : 1)
