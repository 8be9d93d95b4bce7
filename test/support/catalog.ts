import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { parse } from 'yaml'
import { makeFolder } from './folder.ts'
import { isPrivate, loadCatalog, type Manifest } from '../../src/catalog/index.ts'

const BUILT_IN = new URL('../../src/catalog/integrations/', import.meta.url)

export function readManifest (id: string): Manifest {
  return parse(readFileSync(new URL(`${id}.yaml`, BUILT_IN), 'utf8')) as Manifest
}

/**
 * A catalog folder in which integrations answer at a stand-in: each manifest is the real one but
 * for the address. That is how an operator would point one at a test double, too. What is linked
 * in a browser can be pasted here. What agents reach has no address, and no file.
 */
export function retargetCatalog (url: string, ids: readonly string[] = listIds()): string {
  return writeCatalog(ids.map((id) => {
    const manifest = retarget(readManifest(id), url)
    return { ...manifest, auth: manifest.auth.map(({ oauth: _oauth, ...scheme }) => scheme) }
  }))
}

function listIds (): readonly string[] {
  return loadCatalog().list().map(({ manifest }) => manifest).filter((manifest) => !isPrivate(manifest)).map(({ id }) => id)
}

/**
 * A catalog folder in which each of these integrations is at its stand-in with all it has: API,
 * authorize, token and revocation endpoints. What is linked in a browser is linked here, too.
 */
export function linkCatalog (standins: Readonly<Record<string, { readonly url: string }>>, change = (manifest: Manifest) => manifest): string {
  return writeCatalog(Object.entries(standins).map(([id, { url }]) => change(retarget(readManifest(id), url))))
}

/** With other OAuth settings for all its ways. */
export function changeOAuth (manifest: Manifest, changes: Partial<NonNullable<Manifest['auth'][number]['oauth']>>): Manifest {
  return { ...manifest, auth: manifest.auth.map((scheme) => ({ ...scheme, ...scheme.oauth && { oauth: { ...scheme.oauth, ...changes } } })) }
}

function writeCatalog (manifests: readonly Manifest[]): string {
  const dir = makeFolder('catalog')
  for (const manifest of manifests) writeFileSync(join(dir, `${manifest.id}.yaml`), JSON.stringify(manifest))
  loadCatalog(dir)
  return dir
}

/** Every address leads to `url`, with the path it had. */
function retarget (manifest: Manifest, url: string): Manifest {
  const servers = (record: Record<string, string>) => mapValues(record, (server) => retargetUrl(server, url))
  const here = { server: url }
  return {
    ...manifest,
    auth: manifest.auth.map((scheme) => ({
      ...scheme, ...scheme.servers && { servers: servers(scheme.servers) }, ...scheme.oauth && { oauth: retargetOAuth(scheme.oauth, url) },
    })),
    servers: servers(manifest.servers),
    hosts: [new URL(url).host],
    also_hosts: [new URL(url).host],
    ...manifest.test && { test: { ...manifest.test, ...manifest.test.server && here } },
    actions: manifest.actions.map((action) => ({ ...action, ...action.server && here })),
  }
}

/** Addresses are the properties called `url` or `…_url`, wherever they stand; a scope may look like one and is none. */
function retargetOAuth<T> (value: T, url: string): T {
  if (Array.isArray(value)) return value.map((one: unknown) => retargetOAuth(one, url)) as T
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(Object.entries(value).map(([name, one]: [string, unknown]) => {
    if (!/(^|_)url$/.test(name)) return [name, retargetOAuth(one, url)]
    return [name, typeof one === 'string' ? retargetUrl(one, url) : mapValues(one as Record<string, string>, (each) => retargetUrl(each, url))]
  })) as T
}

/** A host may be a field, or hold some; a path keeps those it has. */
function retargetUrl (template: string, url: string): string {
  return `${url}${/^(?:https?:\/\/[^/]*|\{[^}]*\})(\/.*)?$/.exec(template)?.[1] ?? ''}`
}

function mapValues (record: Record<string, string>, map: (value: string) => string): Record<string, string> {
  return Object.fromEntries(Object.entries(record).map(([key, value]) => [key, map(value)]))
}

/** An integration with one key and one harmless action, at any server. */
export function writeKeyedManifest (folder: string, id: string, server: string): void {
  const { host } = new URL(server)
  writeFileSync(join(folder, `${id}.yaml`), JSON.stringify({
    id, name: id, category: 'test', docs: 'https://example.com/docs', environments: ['sandbox'], separation: 'none',
    auth: [{ id: 'api_key', label: 'API key', fields: [{ name: 'api_key', label: 'API key', secret: true }], inject: [{ header: 'authorization', value: 'Bearer {api_key}' }] }],
    servers: { sandbox: server }, hosts: [host], conventions: { body: 'json' }, errors: [],
    test: { method: 'GET', path: '/me', auth_failed: [{ status: 401 }] }, actions: [{ name: 'me', title: 'Me', method: 'GET', path: '/me', effect: 'read' }],
  }))
}
