import { createOnce } from './once.ts'
import { createOutputStore } from './store-output.ts'
import { createRunner, type Runner } from './run.ts'

export type Invoke = Runner

type Options = Omit<Parameters<typeof createRunner>[0], 'once' | 'outputs'> & Parameters<typeof createOnce>[0] & Parameters<typeof createOutputStore>[0]

/** Wires the parts of this room. */
export function createInvoke (options: Options): Invoke {
  return createRunner({ ...options, once: createOnce(options), outputs: createOutputStore(options) })
}
