import { createContext, Script } from 'node:vm'

/** Work was ended because its time was over, or its stack. */
export class OutOfTime extends Error {}

export interface TimeLimit {
  /** Runs work that does not wait, and ends it after so many milliseconds. Throws OutOfTime; what it had changed by then stays changed. */
  run<T> (ms: number, work: () => T): T
}

/**
 * Ends work on this thread: V8's own way to end a script, which Node offers for scripts in a context (node:vm, `timeout`), ends
 * whatever the script has called. It starts a thread that keeps the time: a tenth of a millisecond.
 */
export function createTimeLimit (): TimeLimit {
  const cell: { work: (() => unknown) | undefined } = { work: undefined }
  const context = createContext(cell)
  const script = new Script('work()')
  return Object.freeze({
    run: <T>(ms: number, work: () => T): T => {
      cell.work = work
      try {
        return script.runInContext(context, { timeout: ms }) as T
      } catch (error) {
        // Made in the context, where Error is another.
        const { code, name } = error as { code?: unknown, name?: unknown }
        throw code === 'ERR_SCRIPT_EXECUTION_TIMEOUT' || name === 'RangeError' ? new OutOfTime() : error
      } finally {
        cell.work = undefined
      }
    },
  })
}
