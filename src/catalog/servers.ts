import { LRUCache } from 'lru-cache'
import { VaultError } from '../errors.ts'
import type { Environment } from '../ids.ts'
import type { AuthScheme, Manifest } from './manifest.ts'
import { isPrivate } from './private.ts'

/** Where a connection's calls go. Fixed when its credential is sealed. */
export interface Destination {
  /** Without a slash at its end. */
  readonly baseUrl: string
  /** Hosts the credential may go to, as `host` or `host:port`; that of the token endpoint where it is a client of its own. */
  readonly hosts: readonly string[]
  readonly tokenHost?: string | undefined
  /** The config fields that decided it. */
  readonly hostConfig: Readonly<Record<string, string>>
}

/** Which of an integration's servers. */
interface ServerOf {
  readonly manifest: Manifest
  readonly scheme: AuthScheme
  readonly environment: Environment
}

const FIELD = /\{([a-z][a-z0-9_]*)\}/g

/** Names of the fields a template mentions. */
export function templateFields (template: string): string[] {
  return [...template.matchAll(FIELD)].map(([, name]) => name as string)
}

/** Whether a template mentions one of these fields. */
export function mentionsAny (template: string, fields: Readonly<Record<string, unknown>>): boolean {
  return parseTemplate(template).some((part, place) => place % 2 === 1 && Object.hasOwn(fields, part))
}

/** Texts and, at every second place, names of fields. Templates are those of manifests: few, and the same ones with every call. */
const parsed = new LRUCache<string, readonly string[]>({ max: 1_000 })

function parseTemplate (template: string): readonly string[] {
  const known = parsed.get(template)
  if (known !== undefined) return known
  const parts = template.split(FIELD)
  parsed.set(template, parts)
  return parts
}

/** The template with its fields put in; undefined when one is missing. */
export function fillTemplate (template: string, values: Readonly<Record<string, string | undefined>>): string | undefined {
  let filled = ''
  let isField = false
  for (const part of parseTemplate(template)) {
    const text = isField ? Object.hasOwn(values, part) ? values[part] : undefined : part
    if (text === undefined) return undefined
    filled += text
    isField = !isField
  }
  return filled
}

export function serverTemplate (manifest: Manifest, scheme: AuthScheme, environment: Environment): string {
  return scheme.servers?.[environment] ?? manifest.servers[environment] ?? ''
}

/** An OAuth endpoint of an environment, which may be the same one for both; empty where there is none. */
export function endpointIn (urls: string | Readonly<Record<string, string>>, environment: Environment): string {
  return typeof urls === 'string' ? urls : urls[environment] ?? ''
}

/** Where a client of its own, which is the credential, is sent for a token; empty where there is none. */
function tokenUrlTemplate ({ scheme: { oauth }, environment }: ServerOf): string {
  return oauth?.grant === 'client_credentials' ? endpointIn(oauth.token_url, environment) : ''
}

/** Whether changing this config field would change where the credential goes. */
export function decidesHost (manifest: Manifest, scheme: AuthScheme, field: string): boolean {
  return manifest.environments.some((environment) => templateFields(serverTemplate(manifest, scheme, environment)).includes(field))
}

/** Destinations that no config decides are worked out once. */
const fixed = new WeakMap<AuthScheme, Map<Environment, Destination>>()

/**
 * Where a connection with this config goes. Throws `config_invalid` when the config leads
 * anywhere but to a host the manifest allows.
 */
export function resolveDestination (of: ServerOf, config: Readonly<Record<string, string>>): Destination {
  const known = fixed.get(of.scheme)?.get(of.environment)
  if (known !== undefined) return known
  const { manifest } = of
  const template = serverTemplate(manifest, of.scheme, of.environment)
  const names = templateFields(template)
  const filled = fillTemplate(template, config)
  if (isPrivate(manifest) && filled !== undefined) return { baseUrl: '', hosts: [], hostConfig: { group: filled } }
  const url = filled === undefined ? undefined : URL.parse(filled)
  const plain = url !== null && url !== undefined && url.username === '' && url.password === '' && url.search === '' && url.hash === ''
  if (!plain || !manifest.hosts.some((pattern) => hostMatches(pattern, url.host))) {
    throw new VaultError('config_invalid', {
      detail: `${names.join(', ') || 'The server'} must lead to one of: ${manifest.hosts.join(', ')}.`,
      errors: names.map((name) => ({ pointer: `/config/${name}`, message: `must lead to one of: ${manifest.hosts.join(', ')}` })),
    })
  }
  const tokenTemplate = tokenUrlTemplate(of)
  const tokenHost = URL.parse(fillTemplate(tokenTemplate, config) ?? '')?.host
  const destination = Object.freeze({
    baseUrl: `${url.origin}${url.pathname}`.replace(/\/+$/, ''),
    hosts: [...new Set([url.host, ...manifest.also_hosts ?? [], ...tokenHost === undefined ? [] : [tokenHost]])],
    tokenHost,
    hostConfig: Object.fromEntries(names.map((name) => [name, config[name] ?? ''])),
  })
  if (names.length === 0 && templateFields(tokenTemplate).length === 0) {
    fixed.set(of.scheme, (fixed.get(of.scheme) ?? new Map<Environment, Destination>()).set(of.environment, destination))
  }
  return destination
}

/**
 * Whether a host (with its port, unless 443) fits a pattern. In a pattern `*` stands for a label, a
 * part of one, or the port; alone it stands for any host.
 */
export function hostMatches (pattern: string, host: string): boolean {
  if (!pattern.includes('*')) return pattern === host
  if (pattern === '*') return true
  return compilePattern(pattern).test(host)
}

const compiled = new Map<string, RegExp>()

function compilePattern (pattern: string): RegExp {
  const known = compiled.get(pattern)
  if (known !== undefined) return known
  const made = new RegExp(`^${pattern.replaceAll('.', '\\.').replaceAll('*', '[a-z0-9-]+')}$`)
  compiled.set(pattern, made)
  return made
}

/** Whether everything one pattern lets through, some pattern of the list lets through as well. */
export function isNarrower (pattern: string, than: readonly string[]): boolean {
  return than.some((wider) => wider === pattern || (!pattern.includes('*') && hostMatches(wider, pattern)))
}
