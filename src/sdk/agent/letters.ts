import { open, rename, writeFile } from 'node:fs/promises'
import { AgentError } from './action.ts'
import { readPrivateFile } from './credentials.ts'

/** An encrypted input that is about to be run. */
export interface Letter {
  readonly id: string
  readonly expiresAtMs: number
  readonly invocationId: string
  /** Whether running it twice is more than running it once. */
  readonly once: boolean
}

/** Which letters have been run: nobody but their writer can make a call of one, and nobody more than one call. */
export interface Letters {
  /** Notes that a letter is run now; says why it may not be. Throws when that can't be written down. */
  admit (letter: Letter): Promise<'expired' | 'used' | undefined>
}

interface Noted {
  readonly id: string
  readonly invocation_id: string
  readonly until_ms: number
}

/** The clocks of who writes and who reads it may differ so much. */
const CLOCKS_MS = 300_000
/** A day in the queue and an hour of running: what lasts longer would have to be remembered for longer. */
const VALID_MS_MAX = 25 * 3_600_000
/** What is over is dropped when there are so many, or twice as many as there were. */
const SWEEP_MIN = 1_000

/** Opens the list of letters that were run, which outlives the process. Throws an AgentError when others can read it. */
export async function openLetters (path: string): Promise<Letters> {
  const known = await read(path)
  const pen = createPen(path)
  let sweepAt = 0

  const note = async (noted: Noted): Promise<void> => {
    known.set(noted.id, noted)
    if (known.size < sweepAt) { await pen.add([noted]); return }
    const nowMs = Date.now()
    for (const [id, { until_ms: untilMs }] of known) if (untilMs < nowMs) known.delete(id)
    sweepAt = Math.max(SWEEP_MIN, known.size * 2)
    await pen.replace(() => [...known.values()])
  }
  return Object.freeze({
    admit: async ({ id, expiresAtMs, invocationId, once }: Letter) => {
      const nowMs = Date.now()
      const untilMs = expiresAtMs + CLOCKS_MS
      if (!(untilMs > nowMs && expiresAtMs < nowMs + VALID_MS_MAX + CLOCKS_MS)) return 'expired'
      const before = known.get(id)
      // A call whose lease was lost is given out again as the same.
      if (before !== undefined) return once || before.invocation_id !== invocationId ? 'used' : undefined
      await note({ id, invocation_id: invocationId, until_ms: untilMs })
      return undefined
    },
  })
}

async function read (path: string): Promise<Map<string, Noted>> {
  const text = await readPrivateFile(path).catch((error: unknown) => {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return ''
    throw error instanceof AgentError ? error : new AgentError(2, `${path} can't be read`, { cause: error })
  })
  return new Map(text.split('\n').flatMap((line) => {
    try {
      const noted = JSON.parse(line) as Noted
      return [[noted.id, noted] as const]
    } catch {
      // Torn while it was written: its letter was not run.
      return []
    }
  }))
}

interface Pen {
  add (notes: readonly Noted[]): Promise<void>
  replace (all: () => readonly Noted[]): Promise<void>
}

/** Writes one after another, and those that have come meanwhile at once. What is answered is on disk. */
function createPen (path: string): Pen {
  let lines: readonly string[] = []
  let last = Promise.resolve()
  const next = async (work: () => Promise<void>): Promise<void> => {
    const done = last.then(work)
    last = done.catch(() => undefined)
    await done
  }
  return {
    add: async (notes) => {
      lines = [...lines, ...toLines(notes)]
      await next(async () => {
        const batch = lines
        if (batch.length === 0) return
        await append(path, batch.join(''))
        lines = lines.slice(batch.length)
      })
    },
    replace: async (all) => {
      await next(async () => {
        const beside = `${path}.${process.pid}.tmp`
        await writeFile(beside, toLines(all()).join(''), { mode: 0o600, flush: true })
        await rename(beside, path)
      })
    },
  }
}

function toLines (notes: readonly Noted[]): string[] {
  return notes.map((noted) => `${JSON.stringify(noted)}\n`)
}

async function append (path: string, text: string): Promise<void> {
  const file = await open(path, 'a', 0o600)
  try {
    await file.appendFile(text)
    await file.datasync()
  } finally {
    await file.close()
  }
}
