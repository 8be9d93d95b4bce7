import pg from 'pg'
import type { TestDatabase } from './cluster.ts'

/** A node of a plan, as EXPLAIN (ANALYZE, FORMAT JSON) has it. */
interface PlanNode {
  readonly 'Node Type': string
  readonly 'Relation Name'?: string
  readonly 'Index Name'?: string
  readonly 'Actual Rows'?: number
  readonly 'Actual Loops'?: number
  readonly 'Rows Removed by Filter'?: number
  readonly 'Rows Removed by Index Recheck'?: number
  readonly Plans?: readonly PlanNode[]
}

/** A statement as it was run, and how. */
export interface RunPlan {
  readonly statement: string
  readonly plan: PlanNode
}

/**
 * Every statement that sessions of this database run from now on comes with its plan, of functions
 * and foreign keys as well: Postgres's own auto_explain tells each client what became of its
 * statements, prepared ones as they really run. Sessions opened before keep silent.
 */
export async function explainAll (database: TestDatabase): Promise<void> {
  const [row] = await database.query<{ name: string }>('select current_database() as name')
  const settings = {
    session_preload_libraries: 'auto_explain', 'auto_explain.log_min_duration': '0', 'auto_explain.log_analyze': 'on', 'auto_explain.log_timing': 'off',
    'auto_explain.log_format': 'json', 'auto_explain.log_nested_statements': 'on', 'auto_explain.log_level': 'notice', 'auto_explain.log_parameter_max_length': '0',
  }
  for (const [name, value] of Object.entries(settings)) await database.query(`alter database ${row?.name} set ${name} = '${value}'`)
}

const listeners = new Set<(plan: RunPlan) => void>()
const connect = pg.Client.prototype.connect as (...of: unknown[]) => unknown
Object.assign(pg.Client.prototype, {
  connect: function (this: pg.Client, ...of: unknown[]) {
    this.on('notice', ({ message }) => {
      const json = /^duration: [\d.]+ ms {2}plan:\n(\{.*\})$/s.exec(message ?? '')?.[1]
      if (json === undefined) return
      const { 'Query Text': statement, Plan: plan } = JSON.parse(json) as { 'Query Text': string, Plan: PlanNode }
      for (const listener of listeners) listener({ statement, plan })
    })
    return connect.apply(this, of)
  },
})

/** The plans of what runs meanwhile, in any session of this process. */
export async function collectPlans (work: () => Promise<unknown>): Promise<RunPlan[]> {
  const plans: RunPlan[] = []
  const listener = (plan: RunPlan) => { plans.push(plan) }
  listeners.add(listener)
  try {
    await work()
    return plans
  } finally {
    listeners.delete(listener)
  }
}

export interface Bounds {
  /** Rows of each table and partition; those not named have few. */
  readonly sizes: ReadonlyMap<string, number>
  /** A table with no more may be read as a whole. */
  readonly small: number
  /** So many rows may be looked at in one table, or sorted, by one statement. */
  readonly touched: number
}

/** What is wrong with a plan, in words; empty when nothing is. */
export function judgePlan ({ plan }: RunPlan, bounds: Bounds): string[] {
  return flatten(plan).flatMap((node) => {
    const table = node['Relation Name']
    const touched = rowsTouched(node)
    const by = node['Index Name'] === undefined ? '' : ` by ${node['Index Name']}`
    // One that stops at its first hit is no scan; whether it finds one is for another case to say.
    if (node['Node Type'] === 'Seq Scan' && (bounds.sizes.get(table ?? '') ?? 0) > bounds.small && touched > bounds.small) return [`reads all of ${table}`]
    if (/Scan$/.test(node['Node Type']) && touched > bounds.touched) return [`looks at ${touched} rows of ${table ?? 'what an index found'}${by}`]
    const sorted = node['Node Type'] === 'Sort' ? (node.Plans ?? []).reduce((sum, child) => sum + rowsOut(child), 0) : 0
    return sorted > bounds.touched ? [`sorts ${sorted} rows`] : []
  })
}

function flatten (node: PlanNode): PlanNode[] {
  return [node, ...(node.Plans ?? []).flatMap(flatten)]
}

function rowsOut (node: PlanNode): number {
  return Math.round((node['Actual Rows'] ?? 0) * (node['Actual Loops'] ?? 0))
}

function rowsTouched (node: PlanNode): number {
  return rowsOut(node) + Math.round(((node['Rows Removed by Filter'] ?? 0) + (node['Rows Removed by Index Recheck'] ?? 0)) * (node['Actual Loops'] ?? 0))
}
