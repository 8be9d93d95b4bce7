import { Worker } from 'node:worker_threads'
import type { EnvelopeKey } from './envelope.ts'

export interface KeyPair {
  readonly from: EnvelopeKey
  readonly to: EnvelopeKey
}

/** A sealed value with what it is bound to, encoded, and the keys it is to go from and to. */
export interface ResealValue {
  readonly keys: KeyPair
  readonly binding: Uint8Array
  readonly sealed: Uint8Array
}

/** Keys go to the thread as handles of what this process holds, each pair once, values as two runs of bytes. */
export interface ResealJob {
  /** In the order of their bytes. */
  readonly values: readonly { readonly keys: KeyPair, readonly bindingBytes: number, readonly sealedBytes: number }[]
  readonly bindings: Uint8Array<ArrayBuffer>
  readonly sealed: Uint8Array<ArrayBuffer>
}

export interface ResealAnswer {
  /** Which values opened, and have another in their place now. */
  readonly opened: readonly boolean[]
  readonly sealed: Uint8Array<ArrayBuffer>
}

export interface ResealThread {
  /** Seals values again, for the same places; in their order, undefined for one that does not open. */
  run (values: readonly ResealValue[]): Promise<(Buffer | undefined)[]>
  /** Ends the thread; what is under way fails. */
  close (): Promise<void>
}

interface Pending {
  readonly resolve: (answer: ResealAnswer) => void
  readonly reject: (error: Error) => void
}

const WORKER = new URL('./reseal-worker.ts', import.meta.url)

/** A thread that does nothing but cryptography: the program's own goes on serving meanwhile. It holds nobody up at the end of the process. */
export function openResealThread (): ResealThread {
  const worker = new Worker(WORKER, { env: {}, execArgv: [], stdin: false, stdout: true, stderr: true })
  worker.unref()
  // It answers in the order it was asked.
  const pending: Pending[] = []
  let ended: Error | undefined
  const end = (error: Error): void => {
    ended ??= error
    for (const { reject } of pending.splice(0)) reject(ended)
  }
  worker.on('message', (answer: ResealAnswer) => { pending.shift()?.resolve(answer) }).on('error', end).on('exit', () => { end(new Error('the thread that seals again has ended')) })
  return Object.freeze({
    run: async (values: readonly ResealValue[]) => {
      if (ended !== undefined) throw ended
      const job = toJob(values)
      const answer = await new Promise<ResealAnswer>((resolve, reject) => {
        worker.postMessage(job, [job.bindings.buffer, job.sealed.buffer])
        pending.push({ resolve, reject })
      })
      return takeApart(job, answer)
    },
    close: async () => { await worker.terminate() },
  })
}

function toJob (values: readonly ResealValue[]): ResealJob {
  return {
    values: values.map(({ keys, binding, sealed }) => ({ keys, bindingBytes: binding.length, sealedBytes: sealed.length })),
    bindings: join(values.map(({ binding }) => binding)),
    sealed: join(values.map(({ sealed }) => sealed)),
  }
}

/** Bytes of its own: what is a part of a larger buffer can't be given away. */
function join (parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const joined = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0))
  let at = 0
  for (const part of parts) {
    joined.set(part, at)
    at += part.length
  }
  return joined
}

function takeApart ({ values }: ResealJob, { opened, sealed }: ResealAnswer): (Buffer | undefined)[] {
  let at = 0
  return values.map(({ sealedBytes }, index) => {
    at += sealedBytes
    return opened[index] === true ? Buffer.from(sealed.buffer, at - sealedBytes, sealedBytes) : undefined
  })
}
