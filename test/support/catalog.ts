import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { parse } from 'yaml'
import { makeFolder } from './folder.ts'
import { loadCatalog, type Manifest } from '../../src/catalog/index.ts'

const BUILT_IN = new URL('../../src/catalog/integrations/', import.meta.url)

export function readManifest (id: string): Manifest {
  return parse(readFileSync(new URL(`${id}.yaml`, BUILT_IN), 'utf8')) as Manifest
}

/**
 * A catalog folder in which integrations answer at a stand-in: each manifest is the real one but
 * for the address. That is how an operator would point one at a test double, too.
 */
export function retargetCatalog (url: string, ids: readonly string[] = loadCatalog().list().map((one) => one.manifest.id)): string {
  const dir = makeFolder('catalog')
  for (const id of ids) {
    const manifest = readManifest(id)
    const path = URL.parse(manifest.servers['sandbox']?.replaceAll(/\{[^}]*\}/g, 'x') ?? '')?.pathname ?? '/'
    const target = `${url}${path === '/' ? '' : path}`
    const servers = { sandbox: target, live: target }
    const auth = manifest.auth.map(({ servers: _servers, ...scheme }) => scheme)
    writeFileSync(join(dir, `${id}.yaml`), JSON.stringify({ ...manifest, auth, servers, hosts: [new URL(url).host] }))
  }
  return dir
}
