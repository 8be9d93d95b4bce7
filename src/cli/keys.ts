import { mkdirSync } from 'node:fs'
import { dirname, resolve } from 'node:path'
import { systemClock } from '../clock.ts'
import { readConfig } from '../config.ts'
import { createLocalKeyring } from '../crypto/index.ts'
import { print } from './output.ts'
import { locateKeyring } from './session.ts'

export function initKeyring (options: { file?: string }): void {
  const config = readConfig('operate')
  const file = options.file === undefined ? locateKeyring(config) : resolve(options.file)
  mkdirSync(dirname(file), { recursive: true })
  createLocalKeyring(file, systemClock.now())
  print(`${file} written. Keep a copy apart from the database and its backups: without it nothing can be decrypted.`)
}
