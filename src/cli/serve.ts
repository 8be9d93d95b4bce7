import { existsSync, writeFileSync } from 'node:fs'
import { relative, resolve } from 'node:path'
import { PRESETS } from '../access/index.ts'
import { judgePublicUrl, readConfig } from '../config.ts'
import { createLog } from '../log.ts'
import { startVault, type Vault } from '../main.ts'
import { openRooms } from '../rooms.ts'
import { dieQuietly } from './crash.ts'
import { print } from './output.ts'
import { openSession, type ReadyConfig } from './session.ts'
import { recorder } from './tokens.ts'
import { greet, welcome } from './welcome.ts'

/** Runs the vault until SIGTERM or SIGINT. */
export async function serve (): Promise<void> {
  const config = readConfig()
  const log = createLog(config.logLevel)
  dieQuietly()
  const session = await openSession(config, 'serve')
  let vault: Vault
  try {
    const opsToken = session.embedded ? await ensureOpsToken(session.config) : undefined
    vault = await startVault(session.config, log)
    const amiss = judgePublicUrl(config)
    if (amiss !== undefined) log.warn(amiss)
    for (const [listener, url] of Object.entries(vault.urls)) log.info({ listener, host: url }, 'listening')
    if (opsToken !== undefined) print(opsToken.isNew ? welcome(vault.urls, opsToken.file) : greet(vault.urls, opsToken.file))
  } catch (error) {
    await session.end()
    throw error
  }
  const signal = await new Promise<string>((resolve) => {
    for (const name of ['SIGTERM', 'SIGINT'] as const) process.once(name, resolve)
  })
  log.info({ signal }, 'shutting down')
  // What hangs beyond this is cut off: an orchestrator would do the same, less gently.
  setTimeout(() => process.exit(1), config.shutdownSeconds * 1_000).unref()
  await vault.close()
  await session.end()
  log.info('shut down')
}

/** On the first start, a token that can do everything the printed lines show; later, where it lies. */
async function ensureOpsToken (config: ReadyConfig): Promise<{ file: string, isNew: boolean }> {
  const file = resolve(config.dataDir, 'ops-token')
  const isNew = !existsSync(file)
  if (isNew) {
    const rooms = await openRooms(config, createLog('error', process.stderr))
    try {
      const made = await rooms.access.tokens.create(
        { name: 'first start', scopes: [...PRESETS.ops, ...PRESETS.runtime, 'requests:send'], workspaces: ['*'], environments: ['*'] },
        { by: 'operator', record: recorder(rooms.ledger, 'token.created') },
      )
      writeFileSync(file, `${made.token ?? ''}\n`, { mode: 0o600, flag: 'wx' })
    } finally {
      await rooms.close()
    }
  }
  return { file: relative(process.cwd(), file), isNew }
}
