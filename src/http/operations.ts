import type { Log } from '../log.ts'
import type { Metrics } from '../metrics.ts'
import type { App } from './app.ts'

/** One thing that must hold for the vault to be of use. Throws when it does not. */
export interface ReadinessCheck {
  readonly name: string
  readonly check: () => Promise<void>
}

const CHECK_TIMEOUT_MS = 2_000
/** Balancers ask by HEAD, too. */
const BY_HEAD = { exposeHeadRoute: true }

/** Alive, ready, and measured: for the orchestrator and Prometheus, on a listener of their own. */
export function operationsRoutes (app: App, options: { checks: readonly ReadinessCheck[], metrics: Metrics, log: Log }): void {
  const { checks, metrics, log } = options

  app.get('/livez', BY_HEAD, async () => ({ status: 'alive' }))

  app.get('/readyz', BY_HEAD, async (_request, reply) => {
    const results = await Promise.all(checks.map(async ({ name, check }) => {
      try {
        await within(check())
        metrics.ready.set({ check: name }, 1)
        return [name, 'ok'] as const
      } catch (error) {
        metrics.ready.set({ check: name }, 0)
        log.warn({ err: error, reason: name }, 'not ready')
        return [name, 'failed'] as const
      }
    }))
    const ready = results.every(([, result]) => result === 'ok')
    return await reply.code(ready ? 200 : 503).send({ status: ready ? 'ready' : 'not_ready', checks: Object.fromEntries(results) })
  })

  app.get('/metrics', async (_request, reply) => await reply.type(metrics.registry.contentType).send(await metrics.scrape()))
}

async function within (work: Promise<void>): Promise<void> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_resolve, reject) => { timer = setTimeout(() => { reject(new Error('too late')) }, CHECK_TIMEOUT_MS) })
  try {
    await Promise.race([work, late])
  } finally {
    clearTimeout(timer)
  }
}
