import t from 'tap'
import { systemClock } from '../src/clock.ts'
import { startJobs } from '../src/jobs.ts'
import { createLog } from '../src/log.ts'
import { createMetrics } from '../src/metrics.ts'
import { eventually, startTestVault } from './support/vault.ts'

t.test('loops run at their interval, never twice at a time, and survive their failures', async (t) => {
  const metrics = createMetrics()
  const logs: string[] = []
  let [runs, running, overlaps] = [0, 0, 0]
  let release: () => void = () => {}
  const jobs = startJobs([
    { name: 'quick', everyMs: 5, run: async () => { runs++ } },
    {
      name: 'slow', everyMs: 1, run: async () => {
        overlaps = Math.max(overlaps, ++running)
        await new Promise<void>((resolve) => { release = resolve })
        running--
      },
    },
    { name: 'failing', everyMs: 5, run: async () => { throw new Error('canary') } },
  ], { clock: systemClock, log: createLog('info', { write: (line) => { logs.push(line) } }), metrics })
  await eventually(async () => runs > 3)
  t.equal(overlaps, 1)
  const stopping = jobs.stop()
  release()
  await stopping
  const after = runs
  await new Promise((resolve) => { setTimeout(resolve, 30) })
  t.equal(runs, after, 'nothing starts after a stop')
  t.ok(logs.length > 1 && logs.every((line) => line.includes('"job":"failing"') && !line.includes('canary')))
  t.match(await metrics.registry.metrics(), /vault_job_seconds_count\{job="failing",result="failed"\} [1-9]/)
})

t.test('the vault’s own loops', async (t) => {
  const vault = await startTestVault()
  t.teardown(() => vault.close())
  const id = await vault.connect('acme')
  const path = `/v1/workspaces/acme/connections/${id}`
  await Promise.all(Array.from({ length: 40 }, (_, index) => vault.request('POST', `${path}/resolve`, { body: { environment: 'sandbox', context: { procedure_id: `p${index % 4}` } } })))
  const uses = await eventually(async () => {
    const { body } = await vault.request('GET', `${path}/usage`)
    return body.uses.length === 4 && (body.uses as { uses: number }[])
  })
  t.same(uses.map((use) => use.uses), [10, 10, 10, 10], 'no use is counted twice or lost')
  await vault.stop()
  await vault.start()
  await vault.request('POST', `${path}/resolve`, { body: { environment: 'sandbox', context: { procedure_id: 'p0' } } })
  await eventually(async () => ((await vault.request('GET', `${path}/usage`)).body.uses as { procedure_id: string, uses: number }[]).find((use) => use.procedure_id === 'p0')?.uses === 11)
  t.pass('nor across a restart')

  const sealed = await eventually(async () => {
    const [row] = await vault.database.query<{ waiting: number, lag: number | null }>('select count(*)::int as waiting from audit_unsealed')
    return row?.waiting === 0
  })
  t.ok(sealed, 'records are linked within a second or so')
  t.match(await (await fetch(`${vault.urls.operations}/metrics`)).text(), /vault_audit_chain_seq [1-9]/)
})
