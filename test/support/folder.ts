import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** A new folder of this process's own, gone when the process ends. */
export function makeFolder (purpose: string): string {
  const dir = mkdtempSync(join(tmpdir(), `connection-vault-${purpose}-`))
  process.on('exit', () => { rmSync(dir, { recursive: true, force: true }) })
  return dir
}
