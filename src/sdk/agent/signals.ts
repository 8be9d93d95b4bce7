/** A signal that ends with another, or after a while; `release` lets go of both. */
export interface LinkedSignal {
  readonly signal: AbortSignal
  release (): void
}

/**
 * What AbortSignal.any and AbortSignal.timeout do, but for what is left behind: signals that last as
 * long as the process would keep a trace of every request.
 */
export function linkSignals (sources: readonly (AbortSignal | undefined)[], timeoutMs?: number): LinkedSignal {
  const controller = new AbortController()
  const lasting = sources.filter((source) => source !== undefined)
  const stop = (event: Event) => { controller.abort((event.target as AbortSignal).reason) }
  for (const source of lasting) {
    if (source.aborted) controller.abort(source.reason)
    else source.addEventListener('abort', stop, { once: true })
  }
  const timer = timeoutMs === undefined ? undefined : setTimeout(() => { controller.abort(new Error(`no answer within ${timeoutMs} ms`)) }, timeoutMs)
  return {
    signal: controller.signal,
    release: () => {
      clearTimeout(timer)
      for (const source of lasting) source.removeEventListener('abort', stop)
    },
  }
}
