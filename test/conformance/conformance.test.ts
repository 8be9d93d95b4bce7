import t from 'tap'
import { loadCatalog } from '../../src/catalog/index.ts'
import { CHECKS, checkVendor } from './check.ts'
import { missingDocument, VENDORS } from './documents.ts'

/** `npm run test:conformance` prints the same as a table. */
for (const vendor of VENDORS) {
  const missing = missingDocument(vendor)
  t.test(`${vendor.id} against ${vendor.file}`, { skip: missing ?? false }, async (t) => {
    const report = await checkVendor(vendor)
    t.same(report.problems, [])
    t.equal(report.rows.length, loadCatalog().require(vendor.id).manifest.actions.length + 1, 'every action was checked, and the test request')
    for (const { action, results } of report.rows) t.pass(`${action}: ${CHECKS.map((check) => `${check} ${results[check]}`).join(', ')}`)
  })
}
