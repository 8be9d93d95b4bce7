import { readFileSync } from 'node:fs'

/** Of this package. */
export const VERSION = readVersion()

/** The manifest stands beside the sources, and one folder above what is emitted from them. */
function readVersion (): string {
  for (const path of ['../package.json', '../../package.json']) {
    try {
      const { name, version } = JSON.parse(readFileSync(new URL(path, import.meta.url), 'utf8')) as { name: string, version: string }
      if (name === '@connection-vault/sdk') return version
    } catch {
      // The other one then.
    }
  }
  return '0.0.0'
}
