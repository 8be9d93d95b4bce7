import { sha256 } from '../../crypto/index.ts'
import type { Action, AuthScheme, Manifest } from '../manifest.ts'
import { readBody } from './bodies.ts'
import { ImportError } from './import-error.ts'
import { nameOperations } from './names.ts'
import { readParameters } from './parameters.ts'
import { isObject, readDocument, type Json, type JsonObject } from './read-document.ts'
import { readOperations, type FoundOperation } from './read-operations.ts'
import { createRefs, type Refs } from './refs.ts'
import { createSchemaWriter, type SchemaWriter } from './schemas.ts'
import { readSecurity, type ReadSecurity, type StatedAuth } from './security.ts'
import { chooseServers, readServers, withServerFields, type ChosenServers, type Reach, type ReadServer } from './servers.ts'

export interface ImportOptions {
  /** The integration's id. */
  readonly id: string
  /** The document's title when left out. */
  readonly name?: string | undefined
  /** Where the document came from: what relative servers are relative to. */
  readonly base?: string | undefined
  /** Where the API is, instead of what the document says. */
  readonly servers?: Readonly<Partial<Record<'sandbox' | 'live', string>>> | undefined
  /** What the document does not say about authentication. */
  readonly auth?: StatedAuth | undefined
  readonly select?: Selection | undefined
  /** Private endpoints that may, or may not, be reached. */
  readonly reach?: Reach | undefined
  /** Other effects than their methods have, by the actions' names. */
  readonly effects?: Readonly<Record<string, Action['effect']>> | undefined
  /** Check bodies against their schemas, too. */
  readonly strict?: boolean | undefined
}

/** Operations that have one of the tags, begin with one of the paths, or are called one of the names. */
export interface Selection {
  readonly tags?: readonly string[] | undefined
  readonly paths?: readonly string[] | undefined
  readonly names?: readonly string[] | undefined
}

export interface ImportReport {
  readonly title: string
  readonly version: string
  /** Of the document as it came, in hexadecimal. */
  readonly sha256: string
  readonly operations: number
  readonly actions: readonly { readonly name: string, readonly method: string, readonly path: string, readonly effect: Action['effect'], readonly tags: readonly string[] }[]
  /** Operations that are no actions, each with where it stands and why. */
  readonly skipped: readonly { readonly pointer: string, readonly reason: string }[]
  readonly auth: readonly { readonly id: string, readonly label: string, readonly fields: readonly string[] }[]
  readonly servers: readonly { readonly url: string, readonly problem: string | null }[]
  readonly warnings: readonly string[]
}

/** The manifest is missing where nothing of the document can be called, or nothing was selected; the report says why. */
export interface ImportedDocument {
  readonly manifest: Manifest | undefined
  readonly report: ImportReport
}

const EFFECTS: Readonly<Record<string, Action['effect']>> = { GET: 'read', HEAD: 'read', OPTIONS: 'read', TRACE: 'read', PUT: 'idempotent', DELETE: 'idempotent' }
const NO_BODY: ReadonlySet<string> = new Set(['GET', 'HEAD', 'TRACE'])

/**
 * Compiles an OpenAPI document to the manifest of an integration. Pure: it fetches nothing and
 * writes nothing. Throws an ImportError where nothing of the document can be used.
 */
export function importDocument (bytes: Uint8Array, options: ImportOptions): ImportedDocument {
  const { document, version } = readDocument(bytes)
  const refs = createRefs(document)
  const { found: operations, missing } = readOperations(document, refs)
  if (operations.length + missing.length === 0) throw new ImportError('/paths', 'has no operations')
  const schemas = createSchemaWriter(refs)
  const security = readSecurity(document, { refs, operations: operations.map(({ value }) => value), stated: options.auth, reach: options.reach })
  const judged = readServers(document['servers'], options)
  const servers = chooseServers(judged, options.servers, options.reach)
  const names = nameOperations(operations)
  const common = new Set(judged.map(({ url }) => withoutScheme(url)))
  const compiled = operations.map((operation) => {
    const name = names.get(operation.key) ?? ''
    return { operation, name, action: isSelected(operation, name, options.select) ? compile(operation, name, { refs, schemas, security, options, common }) : 'it was not selected' }
  })
  const actions = compiled.flatMap(({ action }) => typeof action === 'string' ? [] : [action])
  const info = isObject(document['info']) ? document['info'] : {}
  const title = (textOf(info['title']) ?? options.id).slice(0, 200)
  const manifest = actions.length === 0 ? undefined : assemble({ options, title, document, actions, security, servers, schemas })
  return {
    manifest,
    report: {
      title, version, sha256: sha256(bytes).toString('hex'), operations: operations.length + missing.length,
      actions: compiled.flatMap(({ operation: { method, path, tags }, name, action }) => typeof action === 'string' ? [] : [{ name, method, path, effect: action.effect, tags }]),
      skipped: compiled.flatMap(({ operation, action }) => typeof action === 'string' ? [{ pointer: operation.pointer, reason: action }] : []).concat(missing),
      auth: security.schemes.map((scheme) => describeScheme(withServerFields(scheme, servers))),
      servers: judged.map(({ url, problem }) => ({ url: url.slice(0, 300), problem: problem ?? null })),
      warnings: [...security.warnings, ...servers.warnings, ...warnOfNames(options, names), ...warnOfSchemas(schemas.dangling())],
    },
  }
}

/** Names that choices were made for and that no operation has: mistyped, or gone from the document. */
function warnOfNames ({ effects = {}, select }: ImportOptions, names: ReadonlyMap<string, string>): string[] {
  const known = new Set(names.values())
  const unknown = [...new Set([...Object.keys(effects), ...select?.names ?? []])].filter((name) => !known.has(name))
  return unknown.length === 0 ? [] : [`No operation is called ${unknown.slice(0, 10).join(', ').slice(0, 200)}: what was chosen for it has no effect.`]
}

function warnOfSchemas (dangling: readonly string[]): string[] {
  if (dangling.length === 0) return []
  return [`Schemas refer to places where there is nothing, so that anything is taken there: ${dangling.slice(0, 10).join(', ')}${dangling.length > 10 ? ` and ${dangling.length - 10} more` : ''}.`]
}

function describeScheme ({ id, label, fields }: AuthScheme): ImportReport['auth'][number] {
  return { id, label, fields: fields.map(({ name }) => name) }
}

interface Compiling {
  readonly refs: Refs
  readonly schemas: SchemaWriter
  readonly security: ReadSecurity
  readonly options: ImportOptions
  /** The document's servers, without their schemes. */
  readonly common: ReadonlySet<string>
}

/** An action, or why there is none. */
function compile (operation: FoundOperation, name: string, { refs, schemas, security, options, common }: Compiling): Action | string {
  const { method, item, value } = operation
  const needed = security.requirementsOf(value)
  if (typeof needed === 'string') return needed
  const path = readPath(operation.path)
  if (typeof path === 'string') return path
  const parameters = readParameters({ path: path.path, lists: [item['parameters'], value['parameters']] }, { refs, schemas, owned: security.owned })
  if (typeof parameters === 'string') return parameters
  const server = ownServer(item, value, { options, common })
  if (server?.problem !== undefined) return server.problem
  const body = NO_BODY.has(method) ? undefined : readBody(value['requestBody'], refs, schemas)
  if (typeof body === 'string') return body
  const asked = parameters.schemas.query?.['properties'] as object | undefined
  const fixed = Object.fromEntries(Object.entries(path.query).filter(([key]) => asked === undefined || !Object.hasOwn(asked, key)))
  const ambiguous = parameters.parameters.map((parameter) => parameter.name).filter((one) => body?.properties.has(one) === true)
  return {
    name, title: titleOf(operation, name), ...helpOf(value), method, path: path.path, ...server !== undefined && { server: server.url },
    effect: ownEffect(options.effects, name) ?? EFFECTS[method] ?? 'unsafe',
    input: { ...parameters.schemas as Record<string, Record<string, unknown>>, ...body !== undefined && { body: body.schema } },
    binding: {
      parameters: parameters.parameters, security: needed, ...Object.keys(fixed).length > 0 && { query: fixed },
      ...body !== undefined && { bodies: body.bodies, ...body.required && { body_required: true as const }, ...ambiguous.length > 0 && { ambiguous } },
      ...options.strict === true && { strict: true as const },
    },
  }
}

/** Actions can be called what objects have anyway, such as `constructor`. */
function ownEffect (effects: ImportOptions['effects'], name: string): Action['effect'] | undefined {
  return effects !== undefined && Object.hasOwn(effects, name) ? effects[name] : undefined
}

/** A fragment is never sent: some documents tell operations of one path apart by it. A query that stands in the path is always sent. */
function readPath (written: string): { path: string, query: Record<string, string> } | string {
  const [bare = ''] = written.trim().split('#')
  const at = bare.indexOf('?')
  const path = (at < 0 ? bare : bare.slice(0, at)).replace(/^\/*/, '/')
  const query = at < 0 ? {} : Object.fromEntries(new URLSearchParams(bare.slice(at + 1)))
  // eslint-disable-next-line no-control-regex
  if (/[\x00-\x20\x7f\\]/.test(path.replaceAll(/\{[^{}]*\}/g, '')) || path.replaceAll(/\{[^{}]*\}/g, '').search(/[{}]/) >= 0) return 'its path can’t be read'
  if (Object.values(query).some((value) => /[{}]/.test(value))) return 'its path has a parameter in its query'
  if (path.split('/').some((segment) => segment === '.' || segment === '..')) return 'its path leads out of the API'
  return { path: path.replaceAll(/\{[^{}]*\}|[^{}]+/g, (part) => part.startsWith('{') ? part : encodeURI(part).replaceAll('%25', '%')), query }
}

/** A server of the operation or its path instead of the document's. */
function ownServer (item: JsonObject, value: JsonObject, { options, common }: Pick<Compiling, 'options' | 'common'>): { url: string, problem?: undefined } | { problem: string } | undefined {
  const list = [value['servers'], item['servers']].find((one): one is readonly Json[] => Array.isArray(one) && one.length > 0)
  // Whoever names the server means all of it.
  if (list === undefined || options.servers !== undefined) return undefined
  const judged = readServers(list, options)
  // Said again of an operation, it is the connection's server all the same.
  if (judged.some(({ url }) => common.has(withoutScheme(url)))) return undefined
  const usable = judged.map(({ server }) => server && withDefaults(server)).find((url) => url !== undefined)
  return usable === undefined ? { problem: `its own server ${judged[0]?.problem ?? 'has variables without defaults'}` } : { url: usable }
}

function withoutScheme (url: string): string {
  return url.trim().replace(/^(https?:)?\/\//i, '').replace(/\/+$/, '')
}

/** One operation's server can't ask a connection for anything: its variables have what the document gives them. */
function withDefaults ({ template, fields }: ReadServer): string | undefined {
  const values = new Map(fields.map(({ name, default: fallback }) => [name, fallback]))
  const filled = template.replaceAll(/\{([a-z0-9_]+)\}/g, (written, name: string) => values.get(name) ?? written)
  return filled.includes('{') ? undefined : filled
}

function isSelected ({ path, tags }: FoundOperation, name: string, select: Selection | undefined): boolean {
  if (select === undefined) return true
  const { tags: wanted = [], paths = [], names = [] } = select
  return wanted.some((tag) => tags.includes(tag)) || paths.some((start) => path.startsWith(start)) || names.includes(name)
}

interface Assembling {
  readonly options: ImportOptions
  readonly title: string
  readonly document: JsonObject
  readonly actions: readonly Action[]
  readonly security: ReadSecurity
  readonly servers: ChosenServers
  readonly schemas: SchemaWriter
}

function assemble ({ options, title, document, actions, security, servers, schemas }: Assembling): Manifest {
  const elsewhere = [...new Set(actions.flatMap(({ server }) => server === undefined ? [] : [new URL(server).host]))]
  const definitions = schemas.definitions()
  return {
    id: options.id, name: options.name ?? title, category: 'custom', ...docsOf(document),
    environments: servers.environments, separation: servers.separate ? 'host' : 'none',
    auth: security.schemes.map((scheme) => withServerFields(scheme, servers)),
    servers: servers.templates, hosts: servers.hosts, ...elsewhere.length > 0 && { also_hosts: elsewhere },
    conventions: { body: 'json' }, errors: [], error_message: ERROR_MESSAGES,
    ...chooseTest(actions),
    ...Object.keys(definitions).length > 0 && { schemas: definitions },
    actions: [...actions],
  }
}

/** Where most APIs put their words about a failure. */
const ERROR_MESSAGES = ['/message', '/error/message', '/error_description', '/error', '/detail', '/title', '/errors/0/message']

const TELLING = /(^|\/)(me|self|whoami|account|accounts|user|users|profile|status|ping|health|healthz|version|info)\/?$/i

/** A read that needs no input and a credential: what it is about says best whether it changes nothing and costs little. */
function chooseTest (actions: readonly Action[]): Pick<Manifest, 'test'> {
  const plain = actions.filter(({ method, path, server, input, binding }) =>
    method === 'GET' && server === undefined && !path.includes('{') && binding?.query === undefined && binding?.security.some((needed) => needed.length > 0) === true && Object.values(input ?? {}).every((schema) => !('required' in schema)))
  const telling = ({ path }: Action) => Number(TELLING.test(path))
  const [best] = plain.toSorted((a, b) => telling(b) - telling(a) || a.path.length - b.path.length || (a.path < b.path ? -1 : 1))
  return best === undefined ? {} : { test: { method: 'GET', path: best.path, auth_failed: [{ status: 401 }] } }
}

function docsOf (document: JsonObject): { docs?: string } {
  const external = isObject(document['externalDocs']) ? textOf(document['externalDocs']['url']) : undefined
  const info = isObject(document['info']) ? document['info'] : {}
  const contact = isObject(info['contact']) ? textOf(info['contact']['url']) : undefined
  const docs = [external, contact].find((url) => url !== undefined && /^https:\/\//.test(url) && URL.canParse(url))
  return docs === undefined ? {} : { docs }
}

function titleOf ({ value }: FoundOperation, name: string): string {
  const summary = textOf(value['summary'])?.trim()
  const words = name.replaceAll('_', ' ')
  return (summary === undefined || summary === '' ? `${words.slice(0, 1).toUpperCase()}${words.slice(1)}` : summary).slice(0, 200)
}

function helpOf (value: JsonObject): { help?: string } {
  const description = textOf(value['description'])?.trim()
  return description === undefined || description === '' ? {} : { help: description.slice(0, 1_000) }
}

function textOf (value: Json | undefined): string | undefined {
  return typeof value === 'string' ? value : undefined
}
