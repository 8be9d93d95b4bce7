import type { Action, Effect, JsonSchema } from './action.ts'
import { defineHttpAction, type HttpActionOptions } from './http-action.ts'

export interface OpenApiOptions {
  /** Where the API is in this network; the document's first server when left out. */
  readonly baseUrl?: string | undefined
  /** Sent with each request; names in braces are credentials. */
  readonly headers?: Readonly<Record<string, string>>
  /** Names of the actions to offer; all when left out. */
  readonly select?: readonly string[] | undefined
  /** Where the method says too little: a POST that only searches is a `read`. */
  readonly effects?: Readonly<Record<string, Effect>>
  readonly timeoutMs?: number | undefined
}

export interface OpenApiActions {
  readonly actions: Readonly<Record<string, Action>>
  /** Operations that are not offered, and why. */
  readonly skipped: readonly { readonly operation: string, readonly because: string }[]
}

type Node = Readonly<Record<string, unknown>>

const METHODS = ['get', 'head', 'post', 'put', 'patch', 'delete'] as const
const EFFECTS: Readonly<Record<string, Effect>> = { get: 'read', head: 'read', put: 'idempotent', delete: 'idempotent' }
const PLACES = ['path', 'query', 'header'] as const
/** These are the agent's to set. */
const RESERVED = new Set(['authorization', 'host', 'cookie', 'content-length', 'content-type', 'accept', 'connection', 'transfer-encoding'])

/**
 * Actions of an OpenAPI 3 document of a local REST API: one for each operation whose parameters
 * are written the usual way and whose body, if it has one, is JSON or a form. What it can't say
 * faithfully it leaves out, with the reason. Throws a TypeError for what is no such document.
 */
export function actionsFromOpenApi (document: unknown, options: OpenApiOptions = {}): OpenApiActions {
  const root = document as Node
  if (!/^3\./.test(String((document as { openapi?: string } | null)?.openapi))) throw new TypeError('it is no OpenAPI 3 document')
  const baseUrl = options.baseUrl ?? (root['servers'] as { url?: string }[] | undefined)?.[0]?.url ?? ''
  if (!/^https?:\/\//.test(baseUrl)) throw new TypeError('the document names no server: say where the API is')
  const actions: Record<string, Action> = {}
  const skipped: { operation: string, because: string }[] = []
  for (const [path, item] of Object.entries(root['paths'] as Record<string, Node> | undefined ?? {})) {
    for (const method of METHODS) {
      const operation = item[method] as Node | undefined
      if (operation === undefined) continue
      const name = nameOf(operation, method, path)
      if (options.select !== undefined && !options.select.includes(name)) continue
      try {
        if (Object.hasOwn(actions, name)) throw new Skip(`its name ${name} is taken`)
        actions[name] = defineHttpAction(describeOperation(root, { operation, item, method, path, name }, { ...options, baseUrl }))
      } catch (error) {
        if (!(error instanceof Skip || error instanceof TypeError)) throw error
        skipped.push({ operation: `${method.toUpperCase()} ${path}`, because: error.message })
      }
    }
  }
  const unknown = options.select?.find((name) => !Object.hasOwn(actions, name) && !skipped.some(({ operation }) => operation.includes(name)))
  if (unknown !== undefined && skipped.length === 0) throw new TypeError(`the document has no operation ${unknown}`)
  return { actions, skipped }
}

class Skip extends Error {}

interface Parameter {
  readonly in?: string
  readonly name?: string
  readonly style?: string
  readonly explode?: boolean
  readonly required?: boolean
  readonly content?: unknown
}

interface Operation {
  readonly operation: Node
  readonly item: Node
  readonly method: typeof METHODS[number]
  readonly path: string
  readonly name: string
}

function describeOperation (root: Node, { operation, item, method, path, name }: Operation, options: OpenApiOptions & { baseUrl: string }): HttpActionOptions {
  const parameters = collectParameters(root, [...(item['parameters'] as Node[] | undefined ?? []), ...(operation['parameters'] as Node[] | undefined ?? [])])
  const input: Record<string, JsonSchema> = {}
  const optional: ('query' | 'header' | 'body')[] = []
  for (const place of PLACES) {
    const here = parameters.filter((parameter) => parameter['in'] === place)
    if (here.length === 0) continue
    const required = here.filter((parameter) => parameter['required'] === true).map((parameter) => String(parameter['name']))
    input[place] = {
      type: 'object', additionalProperties: false, required,
      properties: Object.fromEntries(here.map((parameter) => [String(parameter['name']), schemaOf(parameter['schema'] ?? {})])),
    }
    if (required.length === 0 && place !== 'path') optional.push(place)
  }
  const body = operation['requestBody'] === undefined ? undefined : describeBody(follow(root, operation['requestBody'] as Node))
  if (body !== undefined) input['body'] = body.schema
  if (body?.required === false) optional.push('body')
  const defs = collectDefs(root, input)
  const title = operation['summary']
  return {
    effect: options.effects?.[name] ?? EFFECTS[method] ?? 'unsafe', method: method.toUpperCase() as HttpActionOptions['method'],
    url: `${options.baseUrl.replace(/\/+$/, '')}${path}`, input, optional,
    ...typeof title === 'string' && { title: title.slice(0, 200) }, ...options.headers && { headers: options.headers },
    ...body?.encoding === 'form' && { bodyEncoding: 'form' as const }, ...Object.keys(defs).length > 0 && { defs }, ...options.timeoutMs !== undefined && { timeoutMs: options.timeoutMs },
  }
}

/** Those of the operation take the place of the path's own of the same name. */
function collectParameters (root: Node, all: readonly Node[]): Node[] {
  const byName = new Map(all.map((one) => follow(root, one)).map((parameter) => [`${String(parameter['in'])} ${String(parameter['name'])}`, parameter]))
  return [...byName.values()].filter((parameter) => {
    const { in: place, name, style, explode, required, content } = parameter as Parameter
    if (place === 'header' && RESERVED.has(String(name).toLowerCase())) return false
    const usual = content === undefined && (style === undefined || style === (place === 'query' ? 'form' : 'simple')) && !(place === 'query' && explode === false)
    if (usual && place !== 'cookie') return true
    if (required === true) throw new Skip(`its parameter ${String(name)} is written in a way that is not known here`)
    return false
  })
}

function describeBody (body: Node): { schema: JsonSchema, encoding: 'json' | 'form', required: boolean } {
  const content = body['content'] as Record<string, Node> | undefined ?? {}
  const json = Object.keys(content).find((type) => /^application\/(.+\+)?json(;|$)/i.test(type))
  const form = Object.keys(content).find((type) => /^application\/x-www-form-urlencoded/i.test(type))
  const type = json ?? form
  if (type === undefined) throw new Skip(`its body is ${Object.keys(content).join(', ') || 'nothing known'}, not JSON`)
  return { schema: schemaOf(content[type]?.['schema'] ?? {}), encoding: json === undefined ? 'form' : 'json', required: body['required'] === true }
}

/** A name as actions have them: of the operation's id, or else of its method and path. */
function nameOf (operation: Node, method: string, path: string): string {
  const from = typeof operation['operationId'] === 'string' ? operation['operationId'] : `${method} ${path}`
  const words = from.replace(/([a-z0-9])([A-Z])/g, '$1_$2').toLowerCase().replace(/[^a-z0-9]+/g, '_').replace(/^_+|_+$/g, '')
  return (/^[a-z]/.test(words) ? words : `do_${words}`).slice(0, 64)
}

function follow (root: Node, node: Node): Node {
  let at = node
  for (let steps = 0; typeof at['$ref'] === 'string'; steps++) {
    if (steps > 20 || !at['$ref'].startsWith('#/')) throw new Skip(`it points at ${at['$ref']}, which is not in the document`)
    const pointer = at['$ref']
    const keys = pointer.slice(2).split('/').map((key) => decodeURIComponent(key).replaceAll('~1', '/').replaceAll('~0', '~'))
    const found = keys.reduce<unknown>((value, key) => (value as Node | undefined)?.[key], root)
    if (found === undefined) throw new Skip(`it points at ${pointer}, which is not in the document`)
    at = found as Node
  }
  return at
}

const SCHEMAS = '#/components/schemas/'

/** A schema of OpenAPI as JSON Schema: pointers go to `$defs`, `nullable` (3.0) becomes a type. */
function schemaOf (schema: unknown): JsonSchema {
  return convert(schema) as JsonSchema
}

/** Words of OpenAPI that say nothing of what fits. */
const NO_SCHEMA = new Set(['example', 'examples', 'xml', 'discriminator', 'externalDocs'])

function convert (value: unknown): unknown {
  if (Array.isArray(value)) return value.map(convert)
  if (value === null || typeof value !== 'object') return value
  const { nullable, exclusiveMinimum, exclusiveMaximum, ...rest } = Object.fromEntries(Object.entries(value).filter(([key]) => !NO_SCHEMA.has(key))) as Node
  // Booleans in 3.0, numbers since.
  const bounds = Object.fromEntries(Object.entries({ exclusiveMinimum, exclusiveMaximum }).filter(([, bound]) => typeof bound === 'number'))
  const ref = rest['$ref']
  if (typeof ref === 'string') {
    if (!ref.startsWith(SCHEMAS)) throw new Skip(`a schema points at ${ref}`)
    return { $ref: `#/$defs/${ref.slice(SCHEMAS.length)}` }
  }
  const converted = Object.fromEntries(Object.entries({ ...rest, ...bounds }).map(([key, member]) => [key, key === 'enum' || key === 'const' || key === 'default' ? member : convert(member)]))
  if (nullable !== true) return converted
  return typeof converted['type'] === 'string' ? { ...converted, type: [converted['type'], 'null'] } : { anyOf: [converted, { type: 'null' }] }
}

/** The schemas that the input points at, and those that they point at. */
function collectDefs (root: Node, input: unknown): Record<string, JsonSchema> {
  const schemas = (root['components'] as Node | undefined)?.['schemas'] as Record<string, unknown> | undefined ?? {}
  const defs: Record<string, JsonSchema> = {}
  const visit = (value: unknown): void => {
    if (value === null || typeof value !== 'object') return
    for (const [key, member] of Object.entries(value)) {
      if (key === '$ref' && typeof member === 'string') {
        const name = member.slice('#/$defs/'.length)
        if (Object.hasOwn(defs, name)) continue
        if (!Object.hasOwn(schemas, name)) throw new Skip(`a schema points at ${name}, which is not in the document`)
        const schema = schemaOf(schemas[name])
        defs[name] = schema
        visit(schema)
      } else visit(member)
    }
  }
  visit(input)
  return defs
}
