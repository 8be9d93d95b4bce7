import type { AuthScheme, Field, Injection } from '../manifest.ts'
import { toSnakeCase, withHash } from './names.ts'
import type { Owned } from './parameters.ts'
import { isObject, type Json, type JsonObject } from './read-document.ts'
import type { Refs } from './refs.ts'
import { judgeReach, type Reach } from './servers.ts'

/** One security scheme of a document, as fields that are pasted and where they go. */
interface Part {
  readonly name: string
  readonly label: string
  readonly fields: readonly Field[]
  readonly inject: readonly Injection[]
  readonly oauth?: AuthScheme['oauth']
}

export interface ReadSecurity {
  /** Ways to connect: each a set of security schemes that some operation takes. */
  readonly schemes: AuthScheme[]
  readonly owned: Owned
  /** What an operation asks for, out of what can be had; a reason where that is nothing. */
  requirementsOf (operation: JsonObject): string[][] | string
  readonly warnings: readonly string[]
}

/** What the importer's user says where a document says nothing. */
export type StatedAuth =
  | { readonly type: 'none' | 'bearer' | 'basic' }
  | { readonly type: 'api_key', readonly in: 'header' | 'query' | 'cookie', readonly name: string }

const SCHEMES_MAX = 16
const STATED = 'stated'
const HASH_LENGTH = 8
/** What a client credentials grant calls its fields. */
const OAUTH_FIELDS = ['client_id', 'client_secret', 'access_token'] as const

interface Reading {
  readonly refs: Refs
  readonly operations: readonly JsonObject[]
  readonly stated: StatedAuth | undefined
  readonly reach: Reach | undefined
}

export function readSecurity (document: JsonObject, by: Reading): ReadSecurity {
  const { refs, operations, stated, reach } = by
  const warnings: string[] = []
  const parts = new Map<string, Part>()
  const components = isObject(document['components']) ? document['components']['securitySchemes'] : undefined
  if (isObject(components)) {
    const bases = new Set<string>(OAUTH_FIELDS)
    for (const [name, value] of Object.entries(components)) {
      const base = unique(toSnakeCase(name).slice(0, 40) || 'auth', name, bases)
      const part = readPart({ name, base }, refs.follow(value), reach)
      if (typeof part === 'string') warnings.push(`The security scheme ${name.slice(0, 100)} ${part}.`)
      else parts.set(name, part)
    }
  }
  if (stated !== undefined && stated.type !== 'none') parts.set(STATED, statedPart(stated))

  const common = stated === undefined ? requirements(document['security']) : stated.type === 'none' ? [[]] : [[STATED]]
  const declared = new Set([...isObject(components) ? Object.keys(components) : [], STATED])
  const undeclared = new Set<string>()
  const requirementsOf = (operation: JsonObject): string[][] | string => {
    const asked = stated === undefined && operation['security'] !== undefined ? requirements(operation['security']) ?? [[]] : common ?? [[]]
    for (const name of asked.flat()) if (!declared.has(name)) undeclared.add(name)
    // A name that stands for nothing says as little as no name.
    const known = asked.map((names) => names.filter((name) => declared.has(name)))
    const possible = known.filter((names) => names.every((name) => parts.has(name)))
    return possible.length > 0 ? possible : `it is authorised by ${[...new Set(known.flat())].join(', ').slice(0, 200)}, which can’t be connected`
  }
  const sets = new Map<string, string[]>()
  for (const operation of operations) {
    const found = requirementsOf(operation)
    if (typeof found !== 'string') for (const names of found) sets.set(names.toSorted().join(' '), names)
  }
  if (undeclared.size > 0) warnings.push(`The document names security schemes that it does not declare: ${[...undeclared].join(', ').slice(0, 200)}. State how calls are authorised.`)
  if (sets.size > SCHEMES_MAX) warnings.push(`There are ${sets.size} combinations of security schemes; the first ${SCHEMES_MAX} can be connected.`)
  if (stated === undefined && parts.size === 0) warnings.push('The document declares no authentication: calls are made without a credential unless you state one.')
  const ids = new Set<string>()
  const schemes = [...sets.values()].sort((a, b) => Number(a.length === 0) - Number(b.length === 0)).slice(0, SCHEMES_MAX)
    .map((names) => combine(names, parts)).map((scheme) => ({ ...scheme, id: unique(scheme.id, scheme.label, ids) }))
  return { schemes: schemes.length > 0 ? schemes : [combine([], parts)], owned: ownedBy(parts), requirementsOf, warnings }
}

/** Two names of a document can be one word here. */
function unique (word: string, of: string, taken: Set<string>): string {
  const found = taken.has(word) ? withHash(word, of, HASH_LENGTH) : word
  taken.add(found)
  return found
}

/** A list of Security Requirement Objects: alternatives of names that go together. */
function requirements (value: Json | undefined): string[][] | undefined {
  if (!Array.isArray(value)) return undefined
  const found = (value as readonly Json[]).filter(isObject).map((one) => Object.keys(one))
  return found.length === 0 ? [[]] : found
}

function combine (names: readonly string[], parts: ReadonlyMap<string, Part>): AuthScheme {
  const chosen = names.flatMap((name) => parts.get(name) ?? [])
  if (chosen.length === 0) return { id: 'none', label: 'No credential', fields: [], inject: [] }
  const oauth = chosen.find((part) => part.oauth !== undefined)?.oauth
  return {
    id: toSnakeCase(chosen.map(({ name }) => name).join('_and_')).slice(0, 64) || 'auth',
    label: chosen.map(({ label }) => label).join(' and ').slice(0, 200),
    fields: chosen.flatMap(({ fields }) => fields), inject: chosen.flatMap(({ inject }) => inject), ...oauth !== undefined && { oauth },
  }
}

function ownedBy (parts: ReadonlyMap<string, Part>): Owned {
  const owned = { query: new Set<string>(), header: new Set<string>(), cookie: new Set<string>() }
  for (const injection of [...parts.values()].flatMap(({ inject }) => inject)) {
    if ('query' in injection) owned.query.add(injection.query)
    else if ('cookie' in injection) owned.cookie.add(injection.cookie)
    else if ('header' in injection) owned.header.add(injection.header.toLowerCase())
  }
  return owned
}

/** A part, or why there is none. */
function readPart ({ name, base }: { name: string, base: string }, value: Json | undefined, reach: Reach | undefined): Part | string {
  if (!isObject(value)) return 'can’t be read'
  const label = name.slice(0, 100)
  const help = typeof value['description'] === 'string' ? value['description'].slice(0, 300) : undefined
  switch (value['type']) {
    case 'apiKey': return apiKey({ name, label, base, help }, value['in'], value['name'])
    case 'http': return http({ name, label, base, help }, value['scheme'])
    case 'oauth2': return oauth2({ name, label, base, help }, value['flows'], reach)
    case 'openIdConnect': return bearer({ name, label, base, help: 'An access token; the vault does not renew it.' })
    default: return `is of the type ${JSON.stringify(value['type'] ?? null).slice(0, 50)}, which can’t be connected`
  }
}

interface About {
  readonly name: string
  readonly label: string
  readonly base: string
  readonly help: string | undefined
}

function secretField ({ base, label, help }: About, suffix = ''): Field {
  return { name: `${base}${suffix}`, label, secret: true, spaces: true, ...help !== undefined && { help } }
}

function apiKey (about: About, place: Json | undefined, parameter: Json | undefined): Part | string {
  if (typeof parameter !== 'string' || parameter === '') return 'does not say what its key is called'
  const fields = [secretField(about)]
  const value = `{${about.base}}`
  const of = about.name
  const token = /^[A-Za-z0-9!#$%&'*+.^_`|~-]+$/.test(parameter)
  if (place === 'query') return { ...about, fields, inject: [{ query: parameter, value, of }] }
  if (!token || /^(host|content-length|transfer-encoding|connection)$/i.test(parameter)) return 'has a name that no header or cookie can have'
  if (place === 'header') return { ...about, fields, inject: [{ header: parameter, value, of }] }
  if (place === 'cookie') return { ...about, fields, inject: [{ cookie: parameter, value, of }] }
  return 'does not say where its key goes'
}

function bearer (about: About): Part {
  return { ...about, fields: [secretField(about)], inject: [{ header: 'Authorization', value: `Bearer {${about.base}}`, of: about.name }] }
}

function http (about: About, scheme: Json | undefined): Part | string {
  const kind = typeof scheme === 'string' ? scheme.toLowerCase() : ''
  if (kind === 'bearer') return bearer(about)
  if (kind !== 'basic') return `is HTTP ${kind.slice(0, 50) || 'of no kind'}, which can’t be connected`
  const [user, password] = [`${about.base}_username`, `${about.base}_password`]
  return {
    ...about,
    fields: [
      // Some APIs take their key as the user's name.
      { name: user, label: 'Username', secret: true, spaces: true, ...about.help !== undefined && { help: about.help } },
      { name: password, label: 'Password', secret: true, spaces: true, required: false },
    ],
    // The second only where there is a password, in the place of the first.
    inject: ['', `{${password}}`].map((text) => ({ basic: { username: `{${user}}`, password: text }, of: about.name })),
  }
}

/** With the client's own id and secret where that is offered, else an access token is pasted. */
function oauth2 (about: About, flows: Json | undefined, reach: Reach | undefined): Part {
  const flow = isObject(flows) ? flows['clientCredentials'] : undefined
  const tokenUrl = isObject(flow) ? flow['tokenUrl'] : undefined
  if (!isObject(flow) || typeof tokenUrl !== 'string' || !isTokenUrl(tokenUrl, reach)) return bearer({ ...about, help: 'An access token; the vault does not renew it.' })
  const [id, secret, token] = OAUTH_FIELDS
  const scopes = isObject(flow['scopes']) ? Object.keys(flow['scopes']) : []
  return {
    ...about,
    fields: [
      { name: id, label: 'Client ID', secret: false },
      { name: secret, label: 'Client secret', secret: true, spaces: true, vault_only: true },
      { name: token, label: 'Access token', secret: true, required: false },
    ],
    inject: [{ header: 'Authorization', value: `Bearer {${token}}`, of: about.name }],
    oauth: {
      grant: 'client_credentials', client: { id, secret }, token_url: tokenUrl, scopes: { default: scopes.filter((scope) => /^[\x21\x23-\x5b\x5d-\x7e]+$/.test(scope)) },
      pkce: 'never', client_auth: 'basic', token_request: 'form', token_answer: {}, access_token_seconds: null, refresh: { issued: 'never', rotates: false },
    },
  }
}

function isTokenUrl (text: string, reach: Reach | undefined): boolean {
  const url = /^https?:\/\/[^\s{}#]+$/.test(text) ? URL.parse(text) : null
  return url !== null && judgeReach(url, reach) === undefined
}

function statedPart (stated: Exclude<StatedAuth, { type: 'none' }>): Part {
  const about = { name: STATED, label: 'Credential', base: 'credential', help: undefined }
  const part = stated.type === 'api_key' ? apiKey({ ...about, label: 'API key', base: 'api_key' }, stated.in, stated.name) : http(stated.type === 'bearer' ? { ...about, label: 'Token', base: 'token' } : about, stated.type)
  if (typeof part === 'string') throw new TypeError(part)
  return part
}
