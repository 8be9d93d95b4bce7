import { constants, setPriority } from 'node:os'
import { parentPort } from 'node:worker_threads'
import { resealEnvelope } from './envelope.ts'
import type { ResealAnswer, ResealJob } from './reseal-thread.ts'

/** The thread that seals again: its values come in one run of bytes, and the new ones, which are as long, go back in it. */
function run ({ values, bindings, sealed }: ResealJob): ResealAnswer {
  let [bindingAt, sealedAt] = [0, 0]
  const opened = values.map(({ keys, bindingBytes, sealedBytes }) => {
    const binding = Buffer.from(bindings.buffer, bindingAt, bindingBytes)
    const value = sealed.subarray(sealedAt, sealedAt + sealedBytes)
    bindingAt += bindingBytes
    sealedAt += sealedBytes
    const again = resealEnvelope(keys, binding, value)
    if (again !== undefined) value.set(again)
    return again !== undefined
  })
  return { opened, sealed }
}

/** Nobody waits for a sweep. Linux has a priority for each thread; elsewhere the whole process would step back. */
function stepBack (): void {
  if (process.platform !== 'linux') return
  try {
    setPriority(0, constants.priority.PRIORITY_LOW)
  } catch {
    // Some sandboxes let no process do that, and values can be sealed without.
  }
}

stepBack()
parentPort?.on('message', (job: ResealJob) => {
  const answer = run(job)
  parentPort?.postMessage(answer, [answer.sealed.buffer])
})
