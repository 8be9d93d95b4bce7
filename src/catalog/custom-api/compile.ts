import { Worker } from 'node:worker_threads'
import { VaultError, type FieldError } from '../../errors.ts'
import type { ImportChoices } from './import-request.ts'
import { createTurns } from './turns.ts'

interface JobBase {
  readonly id: string
  /** `host:port` that the API may be at although it is private, and that it may not be at although others may. */
  readonly open: readonly string[]
  readonly closed: readonly string[]
  /** The revision that the diff is against. */
  readonly before?: { readonly actions: Uint8Array, readonly schemas: Uint8Array } | undefined
}

/** A request's body as it came, or a document that was fetched for one. */
export type CompileJob =
  | JobBase & { readonly kind: 'request', readonly body: Uint8Array, readonly contentType: string }
  | JobBase & { readonly kind: 'document', readonly document: Uint8Array, readonly base: string, readonly choices: ImportChoices }

/** Bytes are JSON that the database takes as it is: this thread need not look into them. */
export interface Compiled {
  readonly summary: { readonly sha256: string, readonly title: string, readonly version: string, readonly actions: number }
  /** All that the import has to say. */
  readonly report: Uint8Array
  /** What of it is kept. */
  readonly kept: Uint8Array
  readonly choices: Uint8Array
  /** Missing where nothing can be called. */
  readonly head?: Uint8Array
  readonly actions?: Uint8Array
  readonly schemas?: Uint8Array
  readonly diff?: Uint8Array
}

export type CompileAnswer =
  | Compiled & { readonly kind: 'compiled' }
  | { readonly kind: 'elsewhere', readonly url: string, readonly choices: ImportChoices }
  | { readonly kind: 'refused', readonly pointer: string, readonly message: string }
  | { readonly kind: 'choices', readonly errors: readonly FieldError[] }
  | { readonly kind: 'defect', readonly place: string }

export interface Compiler {
  /**
   * Reads a document in a thread of its own, when it is its party's turn: a workspace, or whoever
   * else asks. Answers it compiled, or where it is to be fetched. Throws `openapi_invalid`,
   * `request_invalid`, and `overloaded` where too many wait, or too many of this party.
   */
  run (job: CompileJob, party: string): Promise<(Compiled & { readonly kind: 'compiled' }) | Extract<CompileAnswer, { kind: 'elsewhere' }>>
}

const WORKER = new URL('./compile-worker.ts', import.meta.url)
const QUEUE = { workingMax: 2, waitingMax: 8 }
const LIMITS = { timeoutMs: 30_000, heapMb: 768 }

/** Documents are compiled two at a time, each with limits on its time and memory. */
export function createCompiler (limits = LIMITS): Compiler {
  const turns = createTurns(QUEUE)
  return Object.freeze({
    run: async (job: CompileJob, party: string) => {
      if (!await turns.enter(party)) throw new VaultError('overloaded', { detail: 'Too many documents are being imported.', retryAfterSeconds: 5 })
      try {
        return requireCompiled(await runInThread(job, limits))
      } finally {
        turns.leave()
      }
    },
  })
}

function runInThread (job: CompileJob, { timeoutMs, heapMb }: typeof LIMITS): Promise<CompileAnswer> {
  return new Promise((resolve) => {
    const bytes = job.kind === 'request' ? job.body : job.document
    // A buffer that is a part of a larger one can't be given away.
    const own = bytes.byteLength === bytes.buffer.byteLength ? bytes : Uint8Array.from(bytes)
    const given = job.kind === 'request' ? { ...job, body: own } : { ...job, document: own }
    const worker = new Worker(WORKER, {
      workerData: given, transferList: [own.buffer as ArrayBuffer], env: {}, execArgv: [], stdin: false, stdout: true, stderr: true,
      resourceLimits: { maxOldGenerationSizeMb: heapMb, maxYoungGenerationSizeMb: 64, stackSizeMb: 4 },
    })
    const refuse = (message: string): void => { finish({ kind: 'refused', pointer: '', message }) }
    const timer = setTimeout(() => { refuse(`takes longer than ${timeoutMs / 1_000} seconds to read`) }, timeoutMs)
    const finish = (answer: CompileAnswer): void => {
      clearTimeout(timer)
      resolve(answer)
      worker.terminate().catch(() => {})
    }
    worker.once('message', (answer: CompileAnswer) => { finish(answer) })
    worker.once('error', (error: Error & { code?: string }) => {
      if (error.code === 'ERR_WORKER_OUT_OF_MEMORY') refuse('needs more memory to be read than an import may take')
      else finish({ kind: 'defect', place: error.name })
    })
    worker.once('exit', () => { finish({ kind: 'defect', place: 'exit' }) })
  })
}

function requireCompiled (answer: CompileAnswer): Exclude<CompileAnswer, { kind: 'refused' | 'choices' | 'defect' }> {
  switch (answer.kind) {
    case 'refused': throw openapiInvalid(answer)
    case 'choices': throw new VaultError('request_invalid', { detail: 'What was said of the import does not fit.', errors: answer.errors })
    case 'defect': throw new VaultError('internal', { cause: new Error(`an import failed: ${answer.place}`) })
    default: return answer
  }
}

/** A document that can't be used, and where in it. */
export function openapiInvalid ({ pointer, message }: { pointer: string, message: string }): VaultError {
  return new VaultError('openapi_invalid', { detail: `The document ${message}.`, errors: [{ pointer, message }] })
}
