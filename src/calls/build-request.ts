import { fillTemplate, pathParameters, requireTest, type Action, type IntegrationAction, type Manifest } from '../catalog/index.ts'
import { arrangeInput, type ArrangedInput } from './arrange-input.ts'
import { buildBoundRequest } from './build-bound.ts'
import type { BuildOptions, BuiltRequest } from './built-request.ts'
import { checkHeaders, hasDotSegment, invalid, isBase64, joinUrl } from './check-request.ts'
import { encodePairs, type FileValue, type RequestBody } from './encode.ts'

/** Anything a caller may send that the catalog has no action for. */
export interface RawRequest {
  readonly method: string
  /** Another of the connection's hosts; the path then begins at its root. */
  readonly host?: string | undefined
  readonly path: string
  readonly query?: Readonly<Record<string, unknown>> | undefined
  readonly headers?: Readonly<Record<string, string>> | undefined
  readonly body?: unknown
  /** The provider's own when left out. */
  readonly encoding?: RequestBody['encoding'] | undefined
}

/** The request of an action. Throws `input_invalid`, with a pointer to each place that does not fit. */
export function buildRequest (action: IntegrationAction, input: Readonly<Record<string, unknown>>, options: BuildOptions): BuiltRequest {
  const { definition } = action
  if (definition.binding !== undefined) return buildBoundRequest({ action, binding: definition.binding }, input, options)
  const filled = Object.entries(definition.from_credential ?? {}).filter(([, field]) => options.fields.includes(field))
  const arranged = arrangeInput(action, input, { secrets: filled.map(([property]) => property), config: inputOf(definition, options.config) })
  const path = fillPath(definition.path, arranged.path ?? {})
  const given = Object.keys(arranged.body ?? {})
  const bodyFields = Object.fromEntries(filled.filter(([property]) => !given.includes(property)))
  // An action that takes a body gets one, if only an empty object: APIs refuse a POST or PUT without.
  const hasBody = definition.graphql !== undefined ||
    (definition.input?.body !== undefined && (given.length > 0 || Object.keys(bodyFields).length > 0 || definition.method !== 'DELETE'))
  return {
    method: definition.method,
    url: joinUrl(definition.server ?? options.baseUrl, path, encodePairs(arranged.query ?? {}, options.manifest.conventions.query ?? 'repeat')),
    headers: { ...options.manifest.conventions.headers, ...definition.headers, ...readHeaders(arranged, options.injected) },
    body: hasBody ? bodyOf(definition, arranged.body ?? {}, options.manifest) : undefined,
    bodyFields,
  }
}

/** What the connection's config says of the input, as numbers where the input has numbers. */
function inputOf ({ input, from_config: from = {} }: Action, config: BuildOptions['config'] = {}): ArrangedInput {
  const filled: Record<string, Record<string, unknown>> = {}
  for (const [place, schema] of Object.entries(input ?? {})) {
    const properties = schema['properties'] as Record<string, { type?: unknown }> | undefined ?? {}
    for (const [property, field] of Object.entries(from)) {
      const [declared, value] = [properties[property], config[field]]
      if (declared === undefined || value === undefined) continue
      // Beyond what a double holds it stays a text, which the schema refuses: nearly the right account is a wrong one.
      ;(filled[place] ??= {})[property] = declared.type === 'integer' && Number.isSafeInteger(Number(value)) ? Number(value) : value
    }
  }
  return filled
}

function bodyOf (definition: Action, value: Readonly<Record<string, unknown>>, manifest: Manifest): RequestBody {
  const encoding = definition.body ?? manifest.conventions.body
  const { files = [], envelope, graphql } = definition
  const wrong = files.filter((name) => value[name] !== undefined && !isBase64((value[name] as FileValue).base64))
  if (wrong.length > 0) throw invalid(wrong.map((name) => ({ pointer: `/input/body/${name}/base64`, message: 'is not base64' })))
  return { value, encoding: encoding === 'graphql' ? 'json' : encoding, ...files.length > 0 && { files }, ...envelope !== undefined && { envelope }, ...graphql !== undefined && { graphql } }
}

/** A call the catalog has no action for, to one of the connection's hosts. Throws `input_invalid`. */
export function buildRawRequest (raw: RawRequest, options: BuildOptions): BuiltRequest {
  const { conventions } = options.manifest
  if (!/^\/[^\s?#\\]*$/.test(raw.path) || raw.path.startsWith('//') || hasDotSegment(raw.path)) {
    throw invalid([{ pointer: '/path', message: 'must be an absolute path without query, fragment, `.` or `..`' }])
  }
  const encoding = raw.encoding ?? (conventions.body === 'graphql' ? 'json' : conventions.body)
  const members = raw.body !== null && typeof raw.body === 'object' && !Array.isArray(raw.body) ? Object.entries(raw.body) : undefined
  if (encoding !== 'json' && raw.body !== undefined && members === undefined) {
    throw invalid([{ pointer: '/body', message: `must be object: it is sent as a ${encoding === 'multipart' ? 'multipart form' : 'form'}` }])
  }
  const files = encoding === 'multipart' ? members?.filter(([, value]) => isFile(value)).map(([name]) => name) ?? [] : []
  const headers = Object.fromEntries(Object.entries(raw.headers ?? {}).map(([name, value]) => [name.toLowerCase(), value]))
  return {
    method: raw.method,
    url: joinUrl(raw.host === undefined ? options.baseUrl : hostUrl(raw.host, options.baseUrl), raw.path, encodePairs(raw.query ?? {}, conventions.query ?? 'repeat')),
    headers: { ...conventions.headers, ...checkHeaders(headers, options.injected, '/headers') },
    body: raw.body === undefined ? undefined : { value: raw.body, encoding, ...files.length > 0 && { files } },
    bodyFields: {},
  }
}

/** In a raw multipart body, a member written as files are. */
function isFile (value: unknown): boolean {
  const base64 = value !== null && typeof value === 'object' && 'base64' in value ? value.base64 : undefined
  return typeof base64 === 'string' && isBase64(base64)
}

/** Whether the host is one of the connection's is judged with the finished URL. */
function hostUrl (host: string, baseUrl: string): string {
  const url = URL.parse(`${new URL(baseUrl).protocol}//${host}`)
  if (url?.host !== host.toLowerCase() || url.pathname !== '/') throw invalid([{ pointer: '/host', message: 'is no host name' }])
  return url.origin
}

/** Test requests of manifests: nothing in them is a caller's. Throws `test_unavailable`. */
export function buildTestRequest (manifest: Manifest, connection: { baseUrl: string, config: Readonly<Record<string, string>> }): BuiltRequest {
  const { conventions } = manifest
  const test = requireTest(manifest)
  const config = Object.fromEntries(Object.entries(connection.config).map(([name, value]) => [name, encodeURIComponent(value)]))
  return {
    method: test.method,
    url: joinUrl(test.server ?? connection.baseUrl, fillTemplate(test.path, config) ?? test.path, encodePairs(test.query ?? {}, 'repeat')),
    headers: { ...conventions.headers },
    body: test.body === undefined ? undefined : { value: test.body, encoding: conventions.body === 'graphql' ? 'json' : conventions.body },
    bodyFields: {},
  }
}

function fillPath (template: string, values: Readonly<Record<string, unknown>>): string {
  let path = template
  for (const { name, written, segments } of pathParameters(template)) {
    const parts = segments ? String(values[name]).split('/') : [String(values[name])]
    // eslint-disable-next-line no-control-regex
    if (parts.some((part) => part === '' || hasDotSegment(part) || /[\x00-\x1f\x7f]/.test(part))) {
      throw invalid([{ pointer: `/input/path/${name}`, message: 'must not be empty, have `.` or `..` between slashes, or hold control characters' }])
    }
    path = path.replace(written, () => parts.map(encodeURIComponent).join('/'))
  }
  if (hasDotSegment(path)) throw invalid([{ pointer: '/input/path', message: 'must not make a `.` or `..` of a path segment' }])
  return path
}

function readHeaders (arranged: ArrangedInput, injected: readonly string[]): Record<string, string> {
  const entries = Object.entries(arranged.header ?? {}).map(([name, value]) => [name.toLowerCase(), String(value)] as const)
  return checkHeaders(Object.fromEntries(entries), injected, '/input/header')
}
