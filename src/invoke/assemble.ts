import { createRelayRunner, type RelayRunner } from './by-relay.ts'
import { createOnce } from './once.ts'
import { createOutputStore } from './store-output.ts'
import { createRunner, type Runner } from './run.ts'

export type Invoke = Runner & Pick<RelayRunner, 'status' | 'cancel'>

type Options = Omit<Parameters<typeof createRunner>[0], 'once' | 'outputs' | 'relayed'> & Parameters<typeof createOnce>[0] & Parameters<typeof createOutputStore>[0] &
  Parameters<typeof createRelayRunner>[0]

/** Wires the parts of this room. */
export function createInvoke (options: Options): Invoke {
  const relayed = createRelayRunner(options)
  const runner = createRunner({ ...options, once: createOnce(options), outputs: createOutputStore(options), relayed })
  return Object.freeze({ ...runner, status: relayed.status, cancel: relayed.cancel })
}
