import { readFileSync } from 'node:fs'
import t from 'tap'
import { parse } from 'yaml'
import { ERRORS } from '../src/errors.ts'
import { createMetrics } from '../src/metrics.ts'

/** The dashboard and the alerts speak of metrics, labels and values that exist. */
const read = (name: string) => readFileSync(new URL(`../docs/${name}`, import.meta.url), 'utf8')
const rules = (parse(read('alerts.yaml')) as { groups: { rules: { alert: string, expr: string, annotations: Record<string, string> }[] }[] }).groups.flatMap((group) => group.rules)
const panels = (JSON.parse(read('grafana-dashboard.json')) as { panels: { title: string, targets: { expr: string }[] }[] }).panels
const expressions = [...rules.map(({ expr }) => expr), ...panels.flatMap(({ targets }) => targets.map(({ expr }) => expr))]

t.test('every metric exists, with the labels it is asked for', async (t) => {
  const metrics = createMetrics().registry.getMetricsAsArray() as unknown as { name: string, labelNames: string[] }[]
  const known = new Map(metrics.map(({ name, labelNames }) => [name, labelNames]))
  let checked = 0
  for (const expr of expressions) {
    for (const [, name = '', selector = ''] of expr.matchAll(/\b(vault_\w+?)(?:_bucket|_count|_sum)?(?:\{([^}]*)\})?(?=[[)\s]|$)/g)) {
      const labels = known.get(name)
      t.ok(labels, `${name} in ${expr}`)
      for (const [, label = ''] of selector.matchAll(/(\w+)\s*[!=]/g)) t.ok(labels?.includes(label), `${name}{${label}}`)
      checked++
    }
  }
  t.ok(checked >= expressions.length)
})

t.test('outcomes are those that are counted', async (t) => {
  const outcomes = expressions.flatMap((expr) => [...expr.matchAll(/outcome!?="(\w+)"/g)].map(([, outcome = '']) => outcome))
  t.ok(outcomes.length > 3)
  for (const outcome of outcomes) t.ok(outcome === 'renewed' || Object.hasOwn(ERRORS, outcome), outcome)
})

t.test('an alert says what it means and what to do', async (t) => {
  t.ok(rules.length >= 8)
  for (const { alert, annotations } of rules) t.match(annotations, { summary: /\w/, description: /.{40}/ }, alert)
  t.equal(new Set(panels.map(({ title }) => title)).size, panels.length)
})

t.test('what an alert waits for the first of is there before', async (t) => {
  const text = await createMetrics().scrape()
  for (const series of ['webhook_deliveries_total{result="given_up"}', 'refusals_total{code="kek_unavailable"}', 'refusals_total{code="database_unavailable"}', 'integrity_failures_total', 'database_silences_total']) {
    t.ok(text.includes(`vault_${series} 0\n`), series)
  }
})

t.test('codes are those that are answered', async (t) => {
  const codes = expressions.flatMap((expr) => [...expr.matchAll(/code!?="(\w+)"/g)].map(([, code = '']) => code))
  t.same(codes.filter((code) => !Object.hasOwn(ERRORS, code)), [])
  t.ok(codes.length > 1)
})
