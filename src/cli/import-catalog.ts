import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { ImportError, ImportOptions, ImportReport } from '../catalog/index.ts'
import { fetchDocument, importDocument, loadCatalog, requireSound } from '../catalog/index.ts'
import { readConfig, type Config } from '../config.ts'
import { createEgress } from '../egress/index.ts'
import { createMetrics } from '../metrics.ts'
import { fail, print, printError, table } from './output.ts'

export interface ImportCommand {
  readonly id: string
  readonly name?: string
  readonly live?: string
  readonly sandbox?: string
  readonly auth?: 'none' | 'bearer' | 'basic' | 'api_key'
  readonly keyIn: 'header' | 'query' | 'cookie'
  readonly keyName?: string
  readonly tags?: readonly string[]
  readonly paths?: readonly string[]
  readonly actions?: readonly string[]
  readonly strict?: boolean
  readonly replace?: boolean
  readonly preview?: boolean
}

const LISTED_MAX = 20

/** Makes an integration of an OpenAPI document and puts it into CATALOG_DIR, where the vault finds it when it starts. */
export async function importCatalog (source: string, command: ImportCommand): Promise<void> {
  if (!/^[a-z][a-z0-9_]{0,63}$/.test(command.id)) fail('--id must be lower case letters, digits and _, beginning with a letter')
  const config = readConfig('operate')
  const file = command.preview === true ? undefined : fileOf(config, command)
  const isUrl = /^https?:\/\//i.test(source)
  const bytes = isUrl ? await fetchGuarded(source, config) : readFile(source)
  const base = isUrl ? source : undefined
  const imported = importDocument(bytes, { ...optionsOf(command), base, reach: { open: config.egressAllowProvider, closed: new Set() } })
  const manifest = requireSound(imported)
  printError(describeReport(imported.report))
  if (manifest === undefined) fail('there is nothing to import')
  if (file === undefined) return
  writeFileSync(file, `${JSON.stringify(manifest)}\n`, { mode: 0o644 })
  print(file)
}

/** Where it stands in a document, and what is wrong there. */
export function describeImportError ({ pointer, message }: ImportError): string {
  return clean(`${pointer === '' ? 'the document' : pointer} ${message}`)
}

function fileOf ({ catalogDir }: Config, { id, replace }: ImportCommand): string {
  if (catalogDir === undefined) fail('CATALOG_DIR names the folder of your own integrations: set it to where this one is to go')
  if (replace !== true && loadCatalog().find(id) !== undefined) fail(`${id} is an integration of the vault itself; --replace puts this one in its place`)
  const taken = ['json', 'yaml', 'yml'].map((ending) => join(catalogDir, `${id}.${ending}`)).find((path) => existsSync(path))
  if (taken !== undefined && replace !== true) fail(`${taken} is there already; --replace writes over it`)
  if (taken !== undefined && !taken.endsWith('.json')) fail(`${taken} was written by hand; move it away first`)
  return join(catalogDir, `${id}.json`)
}

function readFile (path: string): Uint8Array {
  try {
    return readFileSync(path)
  } catch (error) {
    return fail(`${path} can’t be read (${(error as NodeJS.ErrnoException).code ?? 'unknown'})`)
  }
}

/** Through the same guarded way out as everything else. */
async function fetchGuarded (source: string, config: Config): Promise<Uint8Array> {
  const egress = createEgress({ exceptions: { document: config.egressAllowDocument }, metrics: createMetrics() })
  try {
    return await fetchDocument(egress, source)
  } finally {
    await egress.close()
  }
}

function optionsOf (command: ImportCommand): ImportOptions {
  const { id, name, live, sandbox, tags, paths, actions, strict } = command
  const chosen = tags ?? paths ?? actions
  return {
    id, name, strict, auth: authOf(command),
    servers: live === undefined && sandbox === undefined ? undefined : { ...live !== undefined && { live }, ...sandbox !== undefined && { sandbox } },
    select: chosen === undefined ? undefined : { tags, paths, names: actions },
  }
}

function authOf ({ auth, keyIn, keyName }: ImportCommand): ImportOptions['auth'] {
  if (auth === undefined) return undefined
  if (auth !== 'api_key') return { type: auth }
  if (keyName === undefined || !/^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}$/.test(keyName)) return fail('--auth api_key needs --key-name: what the header, parameter or cookie is called')
  return { type: auth, in: keyIn, name: keyName }
}

function describeReport (report: ImportReport): string {
  const reasons = [...Map.groupBy(report.skipped, ({ reason }) => reason)].map(([reason, skipped]) => `  ${skipped.length} × ${reason}, such as ${skipped[0]?.pointer ?? ''}`)
  const effects = Map.groupBy(report.actions, ({ effect }) => effect)
  return clean([
    `${report.title} (OpenAPI ${report.version}, SHA-256 ${report.sha256})`,
    `${report.actions.length} actions of ${report.operations} operations: ${(['read', 'idempotent', 'unsafe'] as const).map((effect) => `${effects.get(effect)?.length ?? 0} ${effect}`).join(', ')}`,
    ...report.skipped.length === 0 ? [] : ['Left out:', ...reasons.slice(0, LISTED_MAX)],
    table(['auth', 'fields', ''], report.auth.map(({ id, label, fields }) => [id, fields.join(', '), label])),
    ...report.servers.map(({ url, problem }) => `server ${url}${problem === null ? '' : `: ${problem}`}`),
    ...report.warnings,
  ].join('\n'))
}

/** A document’s words on a terminal: no control characters. */
function clean (text: string): string {
  return text.replaceAll(/[^\P{Cc}\n]/gu, '')
}
