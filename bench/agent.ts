import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createAgent } from '../src/sdk/agent/index.ts'

/** An agent that does nothing, as fast as it can. */
const agent = createAgent({
  url: process.env['VAULT_URL'] ?? '', enrolmentCode: process.env['CODE'], identityFile: join(mkdtempSync(join(tmpdir(), 'connection-vault-bench-agent-')), 'identity.json'),
  log: { info: (_line, message) => { if (message === 'the agent is at work') console.log('at work') }, warn: (_line, message) => { console.error(message) }, error: (_line, message) => { console.error(message) } },
  actions: { nothing: { effect: 'read', input: {}, run: () => null } },
})
process.once('SIGTERM', () => { void agent.stop() })
await agent.start()
