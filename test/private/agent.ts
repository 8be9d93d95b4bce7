import { appendFileSync } from 'node:fs'
import { createAgent, type Action } from '../../src/sdk/agent/index.ts'

/** An agent as a process of its own. What it runs it writes down first, so that it is known however it ends. */
const { VAULT_URL: url = '', IDENTITY: identityFile = '', CODE: enrolmentCode, RAN: file = '' } = process.env

const note = (effect: Action['effect']): Action<{ ms?: number, key?: string }> => ({
  effect,
  input: { type: 'object', properties: { ms: { type: 'integer' }, key: { type: 'string' } } },
  run: async ({ ms = 0, key = '' }, { attempt }) => {
    appendFileSync(file, `${key} ${attempt}\n`)
    await new Promise((resolve) => { setTimeout(resolve, ms) })
    return { key, attempt }
  },
})

const agent = createAgent({ url, identityFile, enrolmentCode, actions: { read: note('read'), set: note('idempotent'), post: note('unsafe') } })
process.once('SIGTERM', () => { void agent.stop() })
await agent.start()
