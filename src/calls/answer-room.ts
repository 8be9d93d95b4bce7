import { createGate, enterAll, type Leave } from './gate.ts'

/** Bounds what large answers take of memory together, and what those of one workspace take of it. */
export interface AnswerRoom {
  /** For one call. Nothing is taken before its answer turns out to be large. */
  open (workspaceId: string): AnswerPlace
}

export interface AnswerPlace {
  /** Resolves when there is room for the whole of a large answer; with false when there is none within `timeoutMs`. Asking again asks nothing new. */
  take (timeoutMs: number): Promise<boolean>
  /** Resolves at once, for a large answer in a turn of the event loop that no other one has: between two of them everybody else comes to go on. */
  turn (): Promise<void>
  /** Gives it back, or stops waiting. */
  leave (): void
}

interface Asked {
  readonly waiting: AbortController
  readonly entered: Promise<Leave | undefined>
}

/** `places` are so many large answers at a time; a workspace has half of them at most. */
export function createAnswerRoom (places: number): AnswerRoom {
  // Who waits is bounded by the calls that may be under way.
  const workspaces = createGate(Infinity)
  const all = createGate(Infinity)
  const share = Math.max(1, Math.floor(places / 2))
  let last = Promise.resolve()
  const nextTurn = async (): Promise<void> => {
    last = last.then(async () => { await new Promise((resolve) => { setImmediate(resolve) }) })
    await last
  }
  const open = (workspaceId: string): AnswerPlace => {
    const ask = (timeoutMs: number): Asked => {
      const waiting = new AbortController()
      const steps = [{ gate: workspaces, name: workspaceId, limit: share }, { gate: all, name: '', limit: places }]
      return { waiting, entered: enterAll(steps, { timeoutMs, signal: waiting.signal }) }
    }
    // Most answers are small, and ask for nothing.
    let asked: Asked | undefined
    return {
      take: async (timeoutMs) => {
        asked ??= ask(timeoutMs)
        return await asked.entered !== undefined
      },
      turn: async () => { if (asked !== undefined) await nextTurn() },
      leave: () => {
        asked?.waiting.abort()
        void asked?.entered.then((leave) => leave?.())
      },
    }
  }
  return Object.freeze({ open })
}
