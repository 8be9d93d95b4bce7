import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

const made: string[] = []
process.on('exit', () => { for (const dir of made) rmSync(dir, { recursive: true, force: true }) })

/** A new folder of this process's own, gone when the process ends. */
export function makeFolder (purpose: string): string {
  const dir = mkdtempSync(join(tmpdir(), `connection-vault-${purpose}-`))
  made.push(dir)
  return dir
}
