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
 * for the address. That is how an operator would point one at a test double, too. What is linked
 * in a browser can be pasted here.
 */
export function retargetCatalog (url: string, ids: readonly string[] = loadCatalog().list().map((one) => one.manifest.id)): string {
  const dir = makeFolder('catalog')
  for (const id of ids) {
    const manifest = readManifest(id)
    const target = (server: string) => {
      const path = /^(?:https:\/\/[^/]*|\{[^}]*\})(\/.*)?$/.exec(server)?.[1] ?? ''
      return `${url}${path}`
    }
    const retarget = (servers: Record<string, string>) =>
      Object.fromEntries(Object.entries(servers).map(([environment, server]) => [environment, target(server)]))
    const here = { server: url }
    writeFileSync(join(dir, `${id}.yaml`), JSON.stringify({
      ...manifest,
      auth: manifest.auth.map(({ servers, oauth: _oauth, ...scheme }) => ({ ...scheme, ...servers && { servers: retarget(servers) } })),
      servers: retarget(manifest.servers),
      hosts: [new URL(url).host],
      also_hosts: [new URL(url).host],
      test: { ...manifest.test, ...manifest.test.server && here },
      actions: manifest.actions.map((action) => ({ ...action, ...action.server && here })),
    }))
  }
  return dir
}
