import { readdirSync, readFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parse } from 'yaml'
import { VaultError } from '../errors.ts'
import type { WorkspaceId } from '../ids.ts'
import { compileSchema } from '../schema.ts'
import type { ImportedDocument } from './custom-api/import-document.ts'
import { createIntegration, type Integration, type LoadedIntegration } from './integration.ts'
import { judgeManifest } from './judge-manifest.ts'
import { Manifest } from './manifest.ts'
import { isPrivate, privateIntegration } from './private.ts'

/** A manifest that can't be used; `message` says which file and where in it. The start ends here. */
export class CatalogError extends Error {}

/** Integrations that every workspace has, and the way to those of one. */
export interface Catalog {
  list (): readonly LoadedIntegration[]
  find (id: string): LoadedIntegration | undefined
  /** Throws `integration_unknown`. */
  require (id: string): LoadedIntegration
  /** An integration as a workspace has it: everybody's, or its own, at the newest revision unless told. */
  findIn (workspaceId: WorkspaceId, id: string, revision?: number | null): Promise<Integration | undefined>
  /** Throws `integration_unknown`. */
  requireIn (workspaceId: WorkspaceId, id: string, revision?: number | null): Promise<Integration>
}

const BUILT_IN = fileURLToPath(new URL('./integrations', import.meta.url))
const check = compileSchema(Manifest)

/** Loads the built-in manifests and those of an operator's folder; one of the same id replaces the built-in. */
export function loadCatalog (operatorDir?: string): Catalog {
  const integrations = new Map<string, LoadedIntegration>([[privateIntegration.manifest.id, privateIntegration]])
  for (const dir of operatorDir === undefined ? [BUILT_IN] : [BUILT_IN, operatorDir]) {
    for (const manifest of readManifests(dir)) {
      if (isPrivate(manifest)) throw new CatalogError(`${dir}: ${manifest.id} is the vault's own word for what agents reach`)
      integrations.set(manifest.id, createIntegration(manifest))
    }
  }
  const sorted = [...integrations.values()].sort((a, b) => a.manifest.id < b.manifest.id ? -1 : 1)
  const require = (id: string): LoadedIntegration => {
    const found = integrations.get(id)
    if (found === undefined) throw new VaultError('integration_unknown', { detail: `There is no such integration. There are: ${[...integrations.keys()].sort().join(', ')}.` })
    return found
  }
  return Object.freeze({
    list: () => sorted,
    find: (id: string) => integrations.get(id),
    require,
    findIn: async (_workspaceId: WorkspaceId, id: string) => integrations.get(id),
    requireIn: async (_workspaceId: WorkspaceId, id: string) => require(id),
  })
}

function readManifests (dir: string): Manifest[] {
  let files: string[]
  try {
    files = readdirSync(dir).filter((file) => /\.(ya?ml|json)$/.test(file)).sort()
  } catch {
    throw new CatalogError(`${dir} can't be read`)
  }
  return files.map((file) => {
    const path = join(dir, file)
    const manifest = parseManifest(path, readFileSync(path, 'utf8'))
    if (basename(file).replace(/\.(ya?ml|json)$/, '') !== manifest.id) throw new CatalogError(`${path}: /id must be the file's name`)
    return manifest
  })
}

/** Parses and checks one manifest. Throws a CatalogError that names every place that is wrong. */
export function parseManifest (path: string, text: string): Manifest {
  let value: unknown
  try {
    // What was imported is large, and JSON is read a hundred times faster.
    value = path.endsWith('.json') ? JSON.parse(text) : parse(text, { maxAliasCount: 100 })
  } catch (error) {
    throw new CatalogError(`${path}: is not ${path.endsWith('.json') ? 'JSON' : 'YAML'}: ${error instanceof Error ? error.message : ''}`)
  }
  const wrong = check(value)
  if (wrong.length > 0) throw new CatalogError(wrong.map((error) => `${path}: ${error.pointer} ${error.message}`).join('\n'))
  const manifest = value as Manifest
  const problems = judgeManifest(manifest)
  if (problems.length > 0) throw new CatalogError(problems.map((problem) => `${path}: ${problem}`).join('\n'))
  return manifest
}

/** Checks what came out of an import as strictly as what people write. Throws a CatalogError, which is a defect of the importer. */
export function requireSound ({ manifest }: ImportedDocument): Manifest | undefined {
  if (manifest === undefined) return undefined
  const problems = [...check(manifest).map((error) => `${error.pointer} ${error.message}`), ...judgeManifest(manifest)]
  if (problems.length > 0) throw new CatalogError(problems.slice(0, 20).join('\n'))
  return manifest
}
