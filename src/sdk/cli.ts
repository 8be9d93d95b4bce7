#!/usr/bin/env node
import { readFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { AgentError, createAgent, jsonLog, readAgentConfig } from './agent/index.ts'

const USAGE = `connection-vault agent --config agent.yaml [--enrolment-code-file FILE] [--check]

Works for an agent group of a Connection Vault, until SIGTERM.

  --config FILE               settings and actions
  --enrolment-code-file FILE  where the code of a first start is; else it is read from
                              CONNECTION_VAULT_ENROLMENT_CODE
  --check                     read the settings, list the actions, and end

Ends with 2 for settings that are wrong, 3 when the agent is revoked, 4 when it is too old, 5
when its enrolment code is refused.
`

async function run (): Promise<void> {
  const { values, positionals } = readArguments()
  if (values.help === true) { process.stdout.write(USAGE); return }
  if (positionals.join(' ') !== 'agent' || values.config === undefined) throw new AgentError(2, `usage: ${USAGE}`)
  const { options, skipped } = readAgentConfig(values.config)
  for (const { operation, because } of skipped) jsonLog.warn({ operation, because }, 'an operation is not offered')
  if (values.check === true) {
    for (const [name, action] of Object.entries(options.actions)) process.stdout.write(`${name}\t${action.effect}\t${action.title ?? ''}\n`)
    return
  }
  // No argument itself: those of a process can be read by everybody on its machine.
  const codeFile = values['enrolment-code-file']
  const enrolmentCode = codeFile === undefined ? process.env['CONNECTION_VAULT_ENROLMENT_CODE'] : readFileSync(codeFile, 'utf8').trim()
  const agent = createAgent({ ...options, enrolmentCode })
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => { void agent.stop() })
  await agent.run()
}

function readArguments () {
  try {
    return parseArgs({
      allowPositionals: true,
      options: { config: { type: 'string' }, 'enrolment-code-file': { type: 'string' }, check: { type: 'boolean' }, help: { type: 'boolean', short: 'h' } },
    })
  } catch (error) {
    throw new AgentError(2, error instanceof Error ? error.message : '')
  }
}

try {
  await run()
} catch (error) {
  jsonLog.error({}, error instanceof Error ? error.message : String(error))
  process.exitCode = error instanceof AgentError ? error.exitCode : 1
}
