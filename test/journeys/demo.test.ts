import { spawnSync } from 'node:child_process'
import t from 'tap'

t.test('the demo ends well', async (t) => {
  const { status, stdout, stderr } = spawnSync(process.execPath, [new URL('./demo.ts', import.meta.url).pathname], { encoding: 'utf8' })
  t.equal(status, 0, stderr)
  t.match(stdout, /1\. .*2\. .*sk_test_…0042.*resolve.*invoke.*rk_test_…0077.*connection\.rotated.*That was all of it\./s)
})
